"""Tables of a protocol file: all that fine-tunes, one kind, the probes, one task; the narrower wins."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from eden_bench import protocols, registry
from eden_bench.contracts import Features
from eden_bench.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ProbeProtocol:
    patches: int = 4
    features: Features = field(default_factory=Features)


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(f'base = "quick"\n{text}')
    return protocols.load(str(path))


@pytest.fixture
def probe():
    return SimpleNamespace(name="probe", kind="probe", protocol=lambda name: ProbeProtocol())


def test_the_narrower_table_wins_and_one_file_serves_all_kinds(tmp_path, probe):
    text = """
[finetune]
lr = 0.1
[segmentation]
loss = "bce"
lr = 0.2
[classification]
flip_p = 0.0
[probes]
patches = 9
[tasks.scr-heart]
lr = 0.3
"""
    protocol = written(tmp_path, text)
    heart, clavicle, label = (
        protocol.task_protocol(registry.tasks.get(name)) for name in ("scr-heart", "scr-clavicle", "shenzhen")
    )
    assert (heart.lr, heart.loss) == (0.3, "bce")
    assert (clavicle.lr, clavicle.loss) == (0.2, "bce")
    assert (label.lr, label.flip_p) == (0.1, 0.0)
    assert protocol.task_protocol(probe).patches == 9


def test_a_table_inside_a_table_changes_single_features(tmp_path, probe):
    made = written(tmp_path, "[probes.features]\nlayer = 2\nsize_px = 64\n").task_protocol(probe)
    assert made.features == Features(layer=2, size_px=64)
    with pytest.raises(UsageError, match=r"task probe, features: unknown option 'layr'.* Did you mean"):
        written(tmp_path, "[probes.features]\nlayr = 2\n").task_protocol(probe)


def test_a_file_adds_to_the_one_it_is_based_on(tmp_path):
    (tmp_path / "base.toml").write_text('base = "quick"\n[tasks.scr-heart]\nlr = 0.3\nepochs = 2\n')
    path = tmp_path / "mine.toml"
    path.write_text(f'base = "{tmp_path}/base.toml"\n[tasks.scr-heart]\nlr = 0.4\n')
    made = protocols.load(str(path)).task_protocol(registry.tasks.get("scr-heart"))
    assert (made.lr, made.epochs) == (0.4, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tasks.scr-hart]\nlr = 1\n", r"\[tasks.scr-hart\]: unknown task 'scr-hart'. Did you mean 'scr-heart'"),
        (
            "[probes]\npatchs = 3\n",
            r"\[probes\] 'patchs' is a field of none of the probes .* Did you mean 'patches'",
        ),
    ],
)
def test_what_nothing_has_is_refused_by_its_name(tmp_path, probe, text, message):
    with pytest.raises(UsageError, match=message):
        protocols.check_used(written(tmp_path, text), {}, [probe])


def test_a_field_of_one_kind_stands_in_its_own_table(tmp_path):
    protocol = written(tmp_path, "[segmentation]\nflip_p = 0.1\n")
    with pytest.raises(UsageError, match="task scr-heart: unknown option 'flip_p'"):
        protocol.task_protocol(registry.tasks.get("scr-heart"))
    assert protocol.task_protocol(registry.tasks.get("shenzhen")).flip_p == 0.5
