import os
import signal
import subprocess
import sys
import warnings

import pytest
import torch

from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.weights import unpickling
from eden_bench.weights.importing import import_weights
from eden_bench.weights.reading import read_tensors
from tests.eden_bench.weights import hostile
from tests.eden_bench.weights.dialects import weights

ALL_IN_ONE = """
import json, sys, time
from pathlib import Path
from eden_bench.weights import unpickling
folder = Path(sys.argv[1])
unpickling.limit(max(path.stat().st_size for path in folder.iterdir()))
for path in sorted(folder.iterdir()):
    begun, told = time.process_time(), "read"
    try:
        with (folder.parent / "out.safetensors").open("wb") as out:
            unpickling.convert(path, out)
    except Exception as error:
        told = unpickling.reason(error)
    print(json.dumps([path.name, told, time.process_time() - begun]), flush=True)
"""


def test_sixty_hostile_files_run_nothing_and_give_one_reason_each(tmp_path):
    """All through the converter under its own limits; nothing but the answers is printed."""
    import json

    sentinel, folder = tmp_path / "executed", tmp_path / "files"
    folder.mkdir()
    expected = hostile.files(sentinel)
    names = {f"{place:02}.pth": name for place, name in enumerate(expected)}
    assert len(names) >= 60
    for file, name in names.items():
        (folder / file).write_bytes(expected[name][0])
    command = [sys.executable, "-W", "ignore", "-c", ALL_IN_ONE, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    assert done.stderr == ""
    told = {names[file]: (reason, seconds) for file, reason, seconds in map(json.loads, done.stdout.splitlines())}
    assert told.keys() == expected.keys()
    for name, (reason, seconds) in told.items():
        with pytest.raises(ValueError, match=expected[name][1]):
            raise ValueError(reason)
        assert reason != "read", name
        assert seconds < 20, name
        assert "weights_only" not in reason, reason
        assert len(reason) < 320, reason
        assert reason.isprintable(), reason
    assert not sentinel.exists()


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "os.system",
            r"file\.pth cannot be read as weights: to read it, posix\.system would have to run, .*; its weights alone",
        ),
        ("cut at 60 %", r"file\.pth cannot be read as weights: its archive is damaged or cut off: copy or download it"),
        ("web page", r"file\.pth cannot be read as weights: it starts with b'<!DOCTYPE html><html>"),
        ("overlapping tensors", r"file\.pth cannot be read as weights: it is no whole safetensors file"),
    ],
)
def test_a_hostile_file_is_refused_by_a_child_and_named(tmp_path, name, match, capfd):
    path = tmp_path / "file.pth"
    path.write_bytes(hostile.files(tmp_path / "executed")[name][0])
    with pytest.raises(WeightsRefused, match=match):
        read_tensors(path)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "executed").exists()


def test_a_good_file_passes_through_the_child_bit_for_bit(tmp_path):
    torch.save({"state_dict": weights(), "epoch": 3}, tmp_path / "file.pth")
    read = read_tensors(tmp_path / "file.pth")
    assert list(read) == sorted(f"state_dict/{name}" for name in weights())
    assert all(value.equal(read[f"state_dict/{name}"]) for name, value in weights().items())


def test_a_child_that_is_killed_is_one_sentence(tmp_path, monkeypatch):
    torch.save(weights(), tmp_path / "file.pth")
    killed = subprocess.CompletedProcess([], -signal.SIGKILL, None, b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(WeightsRefused, match="its reader was stopped with code -9, out of memory or time"):
        read_tensors(tmp_path / "file.pth")


def test_a_child_that_takes_too_long_is_one_sentence(tmp_path, monkeypatch):
    def late(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    torch.save(weights(), tmp_path / "file.pth")
    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(WeightsRefused, match=r"file\.pth takes over 240 s to read"):
        read_tensors(tmp_path / "file.pth")


def loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, r"does not exist \(No such file"),
        (lambda path: path.mkdir(), "is a folder, expected a checkpoint"),
        (os.mkfifo, "is no regular file"),
        (loop, r"does not exist \(Too many levels"),
        (lambda path: path.touch(), "is empty"),
    ],
)
def test_what_is_no_file_is_missing_at_once(tmp_path, make, match):
    make(tmp_path / "file.pth")
    with pytest.raises(WeightsMissing, match=r"file\.pth " + match):
        import_weights(tmp_path / "file.pth")


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    (tmp_path / "file.pth").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WeightsMissing, match="may not be read"):
        import_weights(tmp_path / "file.pth")


def test_the_limits_hold_in_the_child(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    code = (
        "import resource, sys, pathlib; from eden_bench.weights import unpickling as child;"
        "child.limit(pathlib.Path(sys.argv[1]).stat().st_size);"
        "print(*(resource.getrlimit(getattr(resource, 'RLIMIT_' + n))[1] for n in ('DATA', 'CPU', 'FSIZE', 'CORE')))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "file"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str((4 << 30) + 600), str(unpickling.SECONDS), str((1 << 30) + 400), "0"]


def test_no_place_in_the_project_unpickles_without_weights_only():
    from pathlib import Path

    root = Path(__file__).parents[3]
    sources = [
        path for part in ("eden_bench", "pretrain", "baselines", "tasks") for path in (root / part).rglob("*.py")
    ]
    loads = [line for path in sources for line in path.read_text().splitlines() if "torch.load(" in line]
    assert loads
    assert all("weights_only=True" in line for line in loads)
    texts = "".join(path.read_text() for path in sources)
    assert "weights_only=False" not in texts
    assert "import pickle" not in texts


@pytest.mark.trap(
    "attacks", "one byte flipped in a `.pth`", "refused, its part named; `.safetensors` and old pickles carry no sums"
)
def test_one_flipped_byte_is_refused_and_its_part_is_named(tmp_path):
    import zipfile

    torch.save(weights(), tmp_path / "file.pth")
    with zipfile.ZipFile(tmp_path / "file.pth") as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray((tmp_path / "file.pth").read_bytes())
    content[largest.header_offset + len(content) // 1000 + 2000] ^= 1
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(
        unpickling.Unusable, match=f"'{largest.filename}' in its archive is damaged, its CRC-32 differs"
    ):
        unpickling.read(tmp_path / "file.pth")


def test_an_archive_written_without_sums_is_read(tmp_path):
    kept = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(weights(), tmp_path / "file.pth")
    finally:
        torch.serialization.set_crc32_options(kept)
    assert unpickling.read(tmp_path / "file.pth").keys() == weights().keys()


def converted(content, tmp_path, **how):
    path = tmp_path / "file.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path, **how)
    with (tmp_path / "out").open("wb") as out:
        unpickling.convert(path, out)
    from safetensors.torch import load_file

    return load_file(tmp_path / "out")


@pytest.mark.trap(
    "inputs", "detectron2's pickles, arrays in a state dict", "arrays are read; names that are not known are said"
)
@pytest.mark.parametrize("kind", ["plain pickle, as detectron2's", "torch.save of arrays"])
def test_arrays_are_read_as_they_are_without_calling_numpy(tmp_path, kind):
    import pickle

    arrays = {name: value.numpy() for name, value in weights().items()}
    content = {"model": {**arrays, "odd": arrays["conv1.weight"].astype(object)}, "__author__": "none"}
    read = converted(pickle.dumps(content, 2) if "plain" in kind else content, tmp_path)
    assert read.keys() == {f"model/{name}" for name in weights()}
    assert all(value.equal(read[f"model/{name}"]) for name, value in weights().items())


@pytest.mark.trap("inputs", "`defaultdict`, EasyDict beside the weights", "passed over")
def test_what_lies_beside_the_weights_is_passed_over(tmp_path):
    from collections import defaultdict

    from tests.eden_bench.weights.dialects import settings

    history = defaultdict(list, {"loss": [1.0]})
    content = {"state_dict": weights(), "history": history, "version": torch.__version__}
    content |= {"config": settings("easydict", "EasyDict"), "times": defaultdict(float, {"a": 2.0})}
    assert type(torch.__version__) is not str
    assert converted(content, tmp_path).keys() == {f"state_dict/{name}" for name in weights()}


@pytest.mark.trap("inputs", "TorchScript, a zip around a file", "named as such")
def test_a_program_and_a_zip_around_a_file_are_named(tmp_path):
    import zipfile

    torch.save(weights(), tmp_path / "inner.pth")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as made:
        made.write(tmp_path / "inner.pth", "inner.pth")
    with pytest.raises(unpickling.Unusable, match=r"a zip around 'inner\.pth': unpack it and name the file inside"):
        unpickling.read(tmp_path / "outer.zip")
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as made:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            made.writestr(f"program/{name}", b"x")
    with pytest.raises(unpickling.Unusable, match="it is a TorchScript program, expected a state dictionary"):
        unpickling.read(tmp_path / "program.pt")


def test_a_newer_pickle_says_so(tmp_path):
    import pickle

    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"a": [1.0]}, 4))
    with warnings.catch_warnings(action="ignore"), pytest.raises(pickle.UnpicklingError) as caught:
        unpickling.read(tmp_path / "file.pkl")
    assert "a pickle of a protocol that is not read here, expected protocol 2" in unpickling.reason(caught.value)
