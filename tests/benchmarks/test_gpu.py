"""The script for a card: parts in processes of their own, limits, the page, and what is said to be missing."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import gpu, gpu_page, timing
from benchmarks.gpu_targets import TARGETS, target_of, unmeasured
from benchmarks.timing import Bar, Equality, Side

HEAD = "import os, time\nfrom benchmarks.timing import Bar\nTITLE, LIMIT_S = 'a part', 20.0\n"
GOOD = "Bar(id='G2', title='loss', verdict='pass', ours='us', peer='them', ours_s=0.001, peer_s=0.003, ratio=3.0)"
PARTS = {
    "a_crash": f"LIMIT_S = 6.0\ndef measure(device, small):\n    yield {GOOD}\n"
    "    raise ValueError('no such | kernel')\n",
    "b_hang": f"LIMIT_S = 2.0\ndef measure(device, small):\n    yield {GOOD.replace('G2', 'G4-seen')}\n"
    "    time.sleep(99)\n",
    "c_killed": "def measure(device, small):\n    print('noise')\n    os.kill(os.getpid(), 9)\n    yield\n",
    "c_nan": f"def measure(device, small):\n    yield {GOOD.replace('0.001', '1e999')}\n",
    "d_unsaid": "import no_such_module\n",
    "e_good": f"def measure(device, small):\n    print('{{noise')\n    yield {GOOD.replace('G2', 'G8')}\n"
    "    yield Bar(id='G3', title='views', verdict='skipped', equality=f'no kornia, {device}, {small}')\n",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Fake parts, run once; a fake torch spares their processes its import."""
    folder = tmp_path_factory.mktemp("parts")
    package = folder / "fake_parts"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in PARTS.items():
        (package / f"{name}.py").write_text(HEAD + text)
    (folder / "torch.py").write_text("device = str\nset_num_threads = print\n")
    code = (
        "import sys; from benchmarks import gpu, gpu_page; "
        "gpu_page.surroundings = lambda device: dict(date='2026-11-28T00:00', commit='c', machine='m', torch='t', "
        "device='card', driver='d'); gpu.main()"
    )
    command = [sys.executable, "-c", code, "--device", "cuda", "--parts", "fake_parts", "--out", str(folder / "out")]
    path = os.pathsep.join([str(folder), str(Path(gpu.__file__).parents[1])])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.stderr == ""
    made = json.loads((folder / "out/results.json").read_text())
    return done, {part["name"]: part for part in made["parts"]}, (folder / "out/page.md").read_text()


def test_every_part_is_run_whatever_became_of_those_before_it(found):
    assert list(found[1]) == list(PARTS)
    assert found[1]["e_good"]["ended"] == "done"


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("a_crash", "exit code 1: ValueError: no such | kernel"),
        ("b_hang", "ended at its limit of "),
        ("c_killed", "killed by SIGKILL: noise"),
        ("c_nan", "exit code 1: ValueError: Out of range float values are not JSON compliant"),
        ("d_unsaid", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_why_a_part_ended_is_said(found, name, ended):
    assert found[1][name]["ended"].startswith(ended)
    assert f"| {ended.replace('|', '/')}" in found[2]


def test_what_a_part_had_measured_before_it_ended_is_kept(found):
    ids = {name: [bar["id"] for bar in part["bars"]] for name, part in found[1].items()}
    assert ids == {
        "a_crash": ["G2"],
        "b_hang": ["G4-seen"],
        "c_killed": [],
        "c_nan": [],
        "d_unsaid": [],
        "e_good": ["G8", "G3"],
    }


def test_a_part_receives_device_and_size(found):
    assert found[1]["e_good"]["bars"][1]["equality"] == "no kornia, cuda, False"


def test_a_failed_part_is_an_exit_code(found):
    assert found[0].returncode == 1


def test_the_page_tells_where_it_ran_and_sets_each_figure_beside_peer_and_ceiling(found):
    page = found[2]
    assert page.startswith("# Measured on card, 2026-11-28\n")
    assert "m; torch t, driver d; commit c." in page
    assert "| G2 | loss | 1 ms (us) | 3 ms (them) | 3.00x |  | pass |  |" in page
    assert "| G2 | 1,000 | 7,800 losses/s | 13% |" in page


def test_the_page_lists_every_target_without_a_figure(found):
    missing = [line.split(":")[0] for line in found[2].partition("## Not measured")[2].splitlines() if line]
    assert missing == [f"- {each.id}" for each in TARGETS if each.id not in ("G2", "G4", "G8")]
    for id in ("G1b", "G7", "G9"):
        assert f"({target_of(id).no_part})" in found[2]
    assert "asked: >= 10x eager, >= 3x compiled (no kornia, cuda, False)" in found[2]


def test_a_skipped_or_absent_bar_measures_nothing():
    assert unmeasured([]) == list(TARGETS)
    found = [Bar(id="G1-n0", title="", verdict="miss"), timing.skipped("G2", "", "no card")]
    assert {each.id for each in TARGETS} - {each.id for each in unmeasured(found)} == {"G1"}
    assert target_of("G1c-n4").id == "G1c"  # not G1


def test_a_rehearsal_has_no_figure_of_a_card():
    bar = asdict(Bar(id="G2", title="", verdict="pass", ours_s=1.0))
    parts = [{"name": "", "title": "", "seconds": 1.0, "limit_s": 2.0, "ended": "done", "bars": [bar]}]
    made = {"small": True, "date": "", "commit": "", "machine": "", "torch": "", "command": "", "device": "cpu"}
    page = gpu_page.page({**made, "parts": parts})
    assert page.startswith("# Rehearsed on a processor")
    assert page.count("\n- G") == len(TARGETS)


def test_all_parts_fit_in_six_minutes_and_measure_known_targets():
    import importlib

    parts = [importlib.import_module(f"{gpu.PACKAGE}.{name}") for name in gpu.part_names(gpu.PACKAGE)]
    assert sum(part.LIMIT_S for part in parts) <= gpu.TOTAL_S
    assert all(part.TITLE and callable(part.measure) for part in parts)


def test_launches_and_busy_time_of_a_loop_are_counted(monkeypatch):
    import torch

    from benchmarks import launches

    on = torch.autograd.DeviceType
    made = [("cudaLaunchKernel", on.CPU, 0, 1)] * 6 + [("cudaGraphLaunch", on.CPU, 0, 1)] * 2
    made += [("conv", on.CUDA, 0, 30e3), ("copy", on.CUDA, 20e3, 40e3), ("relu", on.CUDA, 90e3, 100e3)]
    made += [("Context Sync", on.CUDA, 0, 200e3), ("Stream Wait Event", on.CUDA, 0, 150e3)]
    made += [("Optimizer.step#AdamW.step", on.CUDA, 30e3, 95e3)]  # the span of a named region, not a kernel
    events = [
        SimpleNamespace(
            name=name,
            device_type=kind,
            time_range=SimpleNamespace(start=first, end=last),
            is_user_annotation=name.startswith("Optimizer"),
        )
        for name, kind, first, last in made
    ]
    recorder = contextlib.nullcontext(SimpleNamespace(events=lambda: events))
    monkeypatch.setattr(launches, "profile", lambda activities: recorder)
    assert launches._profiled(lambda: None, torch.device("cpu"), 2) == (4.0, pytest.approx(0.025))


def test_a_wait_of_the_host_is_counted_at_its_line():
    import warnings

    from benchmarks.launches import waits_of

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn_explicit("called a synchronizing CUDA operation", UserWarning, "/a/loop.py", 7)
        warnings.warn_explicit("something else", UserWarning, "/a/other.py", 3)
    assert waits_of(told) == "the host waits 2 times a step (loop.py:7 2x)"
    assert waits_of([]) == "no waits"


def test_overlapping_kernels_count_once():
    from benchmarks.launches import union

    spans = [(5.0, 7.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.6)]
    assert (
        union(spans)
        == len({round(t, 1) for a, b in spans for t in [a + i / 10 for i in range(round(10 * (b - a)))]}) / 10
    )


def test_a_hot_loop_is_stated_with_its_time():
    import torch

    from benchmarks.launches import hot_loop

    bar = hot_loop("G13-x", "a loop", lambda: time.sleep(0.001), torch.device("cpu"), steps=3)
    assert (bar.verdict, bar.ours_s > 0.001) == ("stated", True)
    assert bar.equality.startswith("0 launches a step; the GPU works 0.0e+00 s of ")


def test_a_part_may_use_what_those_before_it_left(monkeypatch):
    clock, limits = iter([0.0, 0.0, 5.0]), []
    parts = {name: SimpleNamespace(TITLE="", LIMIT_S=20.0) for name in ("a", "b")}
    monkeypatch.setattr(gpu, "part_names", lambda package: list(parts))
    monkeypatch.setattr(gpu.importlib, "import_module", lambda name: parts[name[-1]])
    monkeypatch.setattr(gpu.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(gpu, "_run", lambda name, title, limit_s, options: limits.append(limit_s))
    list(gpu.run_parts(SimpleNamespace(small=False, parts="p", only="")))
    assert limits == [20.0, 35.0]


def test_a_bar_that_fails_says_why_and_stops_none_after_it():
    def measured():
        raise RuntimeError("CUDA error: no kernel\nand more")

    bar = timing.attempted("G1m-x", "x's step", measured)
    assert (bar.verdict, bar.equality) == ("failed", "RuntimeError: CUDA error: no kernel")
    assert gpu._failed(gpu.Outcome("a", "", 1.0, "done", bars=(bar,)), small=True)
    assert target_of("G1m") in unmeasured([bar])


def test_a_whole_run_is_reckoned_from_a_shorter_one_and_a_step():
    from benchmarks.gpu_parts.packs import Way

    assert Way(startup_s=1.0, measured_s=3.0, step_s=0.01).whole_s(steps=60) == pytest.approx(4 + 7.4)


def test_a_part_is_not_started_when_the_time_of_all_is_over():
    ended = gpu._run("late", "title", -1.0, None).ended
    assert ended == "not started: the 360 s of all parts were over"


def test_a_rate_without_a_peer_is_a_bar_against_that_rate(monkeypatch):
    monkeypatch.setattr(timing, "_seconds", lambda side: 0.5)
    bar = timing.against_rate("G1", "step", Side("ours", lambda: None), 4.0, equality=Equality(True, ""))
    assert (bar.ratio, bar.verdict, bar.ours_s, bar.peer) == (0.5, "miss", 0.5, "4 a second")
