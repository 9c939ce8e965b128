"""The doctor names the cause and the remedy."""

import json
import sys
from types import SimpleNamespace

import pytest

from eden_bench import doctor
from eden_bench.doctor import checks
from eden_bench.plugins import name_conflicts
from eden_bench.settings import gather
from tests.cli.command import eden_bench


def by_name(checks):
    return {check.name: check for check in checks}


def test_builds_that_do_not_fit_are_named_with_the_remedy():
    def load(name):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist\nmore")
        return SimpleNamespace(__version__="2.15.0")

    found = by_name(doctor.torch_build(load))
    assert found["torch"].level == "ok"
    assert found["torchvision"].level == "error"
    assert "of different builds; reinstall both together" in found["torchvision"].text
    assert "\n" not in found["torchvision"].text


def test_torch_that_does_not_import_is_an_error_and_ends_the_check():
    def load(name):
        raise ImportError("libcudart.so.13: cannot open shared object file")

    (only,) = doctor.torch_build(load)
    assert (only.name, only.level) == ("torch", "error")
    assert "libcudart" in only.text


def test_our_own_packages_are_not_shadowed():
    assert name_conflicts.shadows() == []


@pytest.mark.parametrize("name", name_conflicts.PACKAGES)
def test_a_file_that_comes_first_is_found_without_running_it(tmp_path, monkeypatch, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit\n")
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (sentence,) = name_conflicts.shadows()
    assert sentence.startswith(f"{tmp_path / name}.py shadows our package {name!r}")


def free_disk(monkeypatch, gigabytes):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=gigabytes * 10**9))


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path, monkeypatch):
    free_disk(monkeypatch, 50)
    (tmp_path / "file").write_text("")
    found = by_name(doctor.examine(gather(out=tmp_path / "file" / "runs", cache=tmp_path)))
    assert found["out"].level == "error"
    assert "choose another with --out" in found["out"].text
    assert found["cache"].level == "ok"
    assert found["torch"].level == found["torchvision"].level == "ok"


@pytest.mark.parametrize(("gigabytes", "level"), [(4, "note"), (5, "ok")])
def test_a_disk_nearly_full_is_a_note_that_says_what_a_checkpoint_takes(tmp_path, monkeypatch, gigabytes, level):
    free_disk(monkeypatch, gigabytes)
    found = by_name(checks._folders(gather(out=tmp_path, cache=tmp_path)))
    assert found["cache"].level == level
    assert f"{gigabytes} GB free" in found["cache"].text
    assert ("a checkpoint takes about 100 MB" in found["cache"].text) == (level == "note")


def test_a_data_folder_that_is_not_there_is_an_error(tmp_path):
    found = by_name(checks._folders(gather(data=tmp_path / "nowhere", out=tmp_path, cache=tmp_path)))
    assert found["data"].level == "error"


def test_a_shadow_makes_the_doctor_end_with_exit_code_2(tmp_path):
    (tmp_path / "baselines.py").write_text("raise SystemExit\n")
    done = eden_bench("doctor", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "baselines.py shadows" in next(row["text"] for row in json.loads(done.stdout) if row["name"] == "packages")
