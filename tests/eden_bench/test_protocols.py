"""Protocols override by name, and refuse what they do not know."""

import os
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from eden_bench import protocols
from eden_bench.contracts import Features, PretrainConfig
from eden_bench.errors import PluginError, UsageError


@dataclass(frozen=True, kw_only=True)
class QueueConfig(PretrainConfig):
    queue_size: int = 65_536


def test_paper_changes_nothing():
    assert protocols.load("paper").method_config("x", QueueConfig()) == QueueConfig()


def test_quick_changes_the_fields_a_method_has():
    config = protocols.load("quick").method_config("x", QueueConfig())
    assert config.queue_size < 65_536
    assert config.arch == "resnet18-w16"
    assert not hasattr(protocols.load("quick").method_config("x", PretrainConfig()), "queue_size")


def test_a_toml_file_builds_on_another_protocol(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "quick"\n[pretrain]\nepochs = 2\n[methods.x]\nqueue_size = 64\n[finetune]\nlr = 0.1\n')
    protocol = protocols.load(str(path))
    config = protocol.method_config("x", QueueConfig())
    assert (config.epochs, config.queue_size, config.arch) == (2, 64, "resnet18-w16")
    assert (protocol.name, protocol.base, protocol.finetune) == ("mine", "quick", {"lr": 0.1})


def test_an_unknown_table_names_the_nearest(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[pretraining]\nepochs = 2\n")
    with pytest.raises(UsageError, match=r"unknown key 'pretraining'. Did you mean 'pretrain'\?"):
        protocols.load(str(path))


def test_an_unknown_option_of_a_method_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[methods.x]\nqueue = 2\n")
    with pytest.raises(UsageError, match="unknown option 'queue'"):
        protocols.load(str(path)).method_config("x", QueueConfig())


def test_broken_toml_names_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[pretrain\n")
    with pytest.raises(UsageError, match=r"protocol .*mine.toml: "):
        protocols.load(str(path))


def test_a_misspelt_protocol_gets_the_nearest():
    with pytest.raises(UsageError, match=r"unknown protocol 'quik'. Did you mean 'quick'\?"):
        protocols.load("quik")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "base = 3", "base is 3, expected the name of a protocol"),
        ("a.toml", "pretrain = 3", r"pretrain is 3, expected a table \[pretrain\]"),
        ("a.toml", "finetune = [1]", r"finetune is \[1\], expected a table"),
        ("a.toml", "methods = 'x'", "methods is 'x', expected a table"),
        ("a.toml", "[methods]\nx = 1", r"methods.x is 1, expected a table \[methods.x\]"),
        ("a.toml", "base = 'a.toml'", "a.toml: its base leads back to itself: make it one of paper, quick"),
        ("a.toml", "base = './b/../a.toml'", "its base leads back to itself"),
        ("a.toml", 'base = "a\\u0000.toml"', "null"),
        ("paper.toml", "", "'paper' is a built-in protocol: give the file another name"),
        ("quick.toml", "base = 'quick'", "'quick' is a built-in protocol"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(tmp_path, monkeypatch, name, text, message):
    (tmp_path / "b").mkdir()
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        protocols.load(name)


def test_a_method_that_is_not_registered_is_refused_with_the_nearest(monkeypatch):
    monkeypatch.setattr(protocols.registry.methods, "names", lambda: ["adam", "random"])
    made = protocols.Protocol(name="mine", base="paper", methods={"adm": {"lr": 1.0}})
    with pytest.raises(UsageError, match=r"protocol mine: unknown method 'adm'. Did you mean 'adam'\?"):
        protocols.check_used(made, {"x": QueueConfig()})


def test_a_shared_option_that_nobody_has_is_refused_with_the_nearest():
    made = protocols.Protocol(name="mine", base="paper", pretrain={"epoch": 2})
    message = r"\[pretrain\] 'epoch' is an option of none of x, y. Did you mean 'epochs'\?"
    with pytest.raises(UsageError, match=message):
        protocols.check_used(made, {"x": QueueConfig(), "y": PretrainConfig()})


def test_what_one_of_the_methods_or_a_built_in_protocol_has_is_taken():
    made = protocols.Protocol(name="mine", base="paper", pretrain={"queue_size": 2, "teacher_momentum": 0.9})
    protocols.check_used(made, {"x": QueueConfig(), "y": PretrainConfig()})
    protocols.check_used(protocols.load("quick"), {"y": PretrainConfig()})


@pytest.mark.trap("inputs", "a byte order mark in a protocol", "passed over")
def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf[pretrain]\nepochs = 3\n")
    assert protocols.load(str(tmp_path / "mine.toml")).pretrain == {"epochs": 3}


@pytest.mark.trap("attacks", "pipes and devices in place of files, the cache's and checkpoints' too")
@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "endless.toml").symlink_to("/dev/zero")
    (tmp_path / "folder.toml").mkdir()
    for name in ("pipe", "endless", "folder"):
        with pytest.raises(UsageError, match=f"protocol .*{name}.toml: it is no regular file"):
            protocols.load(str(tmp_path / f"{name}.toml"))


def test_a_task_whose_protocol_cannot_be_made_is_named():
    task = SimpleNamespace(name="mine", kind="probe", protocol=lambda name: Features(size=64))
    with pytest.raises(PluginError, match=r"^task 'mine': its protocol 'quick' fails with TypeError: .*'size'$"):
        protocols.QUICK.task_protocol(task)
