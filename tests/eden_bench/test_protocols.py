"""Protocols override by name, and refuse what they do not know."""

from dataclasses import dataclass

import pytest

from eden_bench import protocols
from eden_bench.contracts import PretrainConfig
from eden_bench.errors import UsageError


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
