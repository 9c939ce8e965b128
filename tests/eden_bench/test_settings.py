"""Settings: flag before environment before file before default, and every value says where it came from."""

import os
from pathlib import Path

import pytest

from eden_bench import settings
from eden_bench.errors import DataMissing, UsageError
from eden_bench.settings import gather, resolve, resolve_device


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch, tmp_path):
    """Work in an empty folder without any EDEN_BENCH_* variable."""
    for name in settings.NAMES:
        monkeypatch.delenv(f"EDEN_BENCH_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_runs_here_the_phantom_and_the_platforms_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    found = resolve()
    assert (found.data, found.out, found.cache) == (None, tmp_path / "runs", tmp_path / "xdg" / "eden-bench")
    assert found.device == "auto"
    assert found.threads >= 1
    assert set(found.sources.values()) == {"default"}


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(tmp_path, monkeypatch):
    seen = [gather().threads]
    Path("eden-bench.toml").write_text("threads = 61\n")
    seen.append(gather().threads)
    monkeypatch.setenv("EDEN_BENCH_THREADS", "62")
    seen.append(gather().threads)
    seen.append(gather(threads=63).threads)
    assert seen[1:] == [61, 62, 63]
    assert gather(threads=63).sources["threads"] == "flag --threads"
    assert gather().sources["threads"] == "EDEN_BENCH_THREADS"
    monkeypatch.delenv("EDEN_BENCH_THREADS")
    assert gather().sources["threads"] == "eden-bench.toml"


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("EDEN_BENCH_DATA", "")
    assert resolve().data is None


def test_home_is_expanded_and_paths_are_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gather(out="~/here").out == tmp_path / "here"
    assert gather(out="there").out == tmp_path / "there"


def test_a_data_folder_that_is_not_there_is_missing_data(monkeypatch):
    monkeypatch.setenv("EDEN_BENCH_DATA", "nowhere")
    with pytest.raises(DataMissing, match=r"EDEN_BENCH_DATA: .*nowhere is not a folder"):
        resolve()
    assert gather().data is not None


def test_a_misspelt_key_gets_the_nearest():
    Path("eden-bench.toml").write_text('devise = "cpu"\n')
    with pytest.raises(UsageError, match=r"eden-bench.toml: unknown key 'devise'. Did you mean 'device'"):
        gather()


def test_broken_toml_names_the_file():
    Path("eden-bench.toml").write_text("threads = \n")
    with pytest.raises(UsageError, match=r"eden-bench.toml: .*line 1"):
        gather()


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "many", True])
def test_threads_that_mean_nothing_are_refused(value):
    with pytest.raises(UsageError, match="flag --threads: threads must be a whole number of at least 1, not"):
        gather(threads=value)


def test_a_device_that_means_nothing_is_refused(monkeypatch):
    monkeypatch.setenv("EDEN_BENCH_DEVICE", "gpu")
    with pytest.raises(UsageError, match="EDEN_BENCH_DEVICE: device must be auto, cpu, mps, cuda or cuda:N, not 'gpu'"):
        gather()


def test_a_path_that_is_no_text_is_refused():
    Path("eden-bench.toml").write_text("out = 3\n")
    with pytest.raises(UsageError, match=r"eden-bench.toml: expected a path, not 3"):
        gather()


def test_a_setting_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match=r"unknown setting 'thread'. Did you mean 'threads'"):
        gather(thread=3)


def test_auto_is_a_device_that_torch_takes():
    import torch

    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="device 'cuda:99' is not on this machine"):
        resolve_device("cuda:99")


def test_hardware_threads_of_one_core_count_once(monkeypatch):
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(settings, "_siblings", lambda number: f"{number % 2},{number % 2 + 2}")
    assert settings.available_cores() == 2


@pytest.mark.parametrize("threads", ["4097", "9" * 5000])
def test_too_many_threads_are_refused(threads):
    with pytest.raises(UsageError, match="expected at most 4,096"):
        gather(threads=threads)


def test_a_byte_order_mark_is_passed_over():
    Path("eden-bench.toml").write_bytes(b"\xef\xbb\xbfthreads = 2\n")
    assert gather().threads == 2


@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_refused_and_never_waited_for():
    os.mkfifo("eden-bench.toml")
    with pytest.raises(UsageError, match=r"eden-bench\.toml: it is no regular file"):
        gather()
    Path("eden-bench.toml").unlink()
    Path("eden-bench.toml").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"eden-bench\.toml: it is no regular file"):
        gather()
