"""A plugin that lacks a member, or has one under a name one slip away, is refused by that name."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from torch import nn

from eden_bench import PretrainConfig, registry
from eden_bench.contracts.datasets import Dataset, DatasetOptions
from eden_bench.contracts.members import check_object, complete_method, members, one_slip
from eden_bench.contracts.methods import Method, MethodDefaults
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.contracts.tasks import Task, TaskDefaults
from eden_bench.errors import PluginError


def method(bases=(nn.Module,), without=(), config=PretrainConfig, **more):
    """A class with the required members and nothing else."""
    needed = {"Config": config, "card": None, **dict.fromkeys(("recipes", "optimisers", "losses"), lambda self: None)}
    return type("Mine", bases, {name: value for name, value in needed.items() if name not in without} | more)


def function(*_given):
    return None


@pytest.mark.parametrize("bases", [(nn.Module,), (PretrainMethod,)])
@pytest.mark.parametrize(
    ("name", "value", "member"),
    [
        ("stage_dta", function, "stage_data"),
        ("start_stages", function, "start_stage"),
        ("shedule", function, "schedule"),
        ("afterstep", function, "after_step"),
        ("metric", {}, "metrics"),
        ("raedy", property(function), "ready"),
        ("weights_digests", function, "weights_digest"),
    ],
)
def test_a_slip_names_the_member_that_was_meant(bases, name, value, member):
    with pytest.raises(PluginError, match=rf"^method 'mine' has no member '{name}': did you mean '{member}'\?$"):
        complete_method("mine", method(bases, **{name: value}))


def test_a_slip_in_a_required_name_is_named_before_its_absence():
    with pytest.raises(PluginError, match=r"no member 'loses': did you mean 'losses'"):
        complete_method("mine", method(without=["losses"], loses=function))


@pytest.mark.parametrize("name", ["Config", "card", "recipes", "optimisers", "losses"])
@pytest.mark.parametrize("bases", [(nn.Module,), (PretrainMethod,)])
def test_a_missing_member_is_named(bases, name):
    with pytest.raises(PluginError, match=f"^method 'mine' lacks '{name}': see eden_bench.Method$"):
        complete_method("mine", method(bases, without=[name]))


@dataclass(frozen=True, kw_only=True)
class Slipped(PretrainConfig):
    clip_nrm: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Inherited(PretrainConfig):
    batchsize: int = 64


@dataclass(frozen=True, kw_only=True)
class Quik(PretrainConfig):
    quik: ClassVar[dict[str, float]] = {"lr": 1.0}


@pytest.mark.parametrize(
    ("config", "name", "member"),
    [(Slipped, "clip_nrm", "clip_norm"), (Inherited, "batchsize", "batch_size"), (Quik, "quik", "quick")],
)
def test_a_slip_in_a_config_names_the_field_that_was_meant(config, name, member):
    with pytest.raises(
        PluginError, match=rf"the Config of method 'mine' has no member '{name}': did you mean '{member}'"
    ):
        complete_method("mine", method(config=config))


@dataclass(frozen=True, kw_only=True)
class Honest(PretrainConfig):
    """Names that are near, but settings of the method's own."""

    keep: float = 0.1
    momentum2: float = 0.99
    clip_norm: float = 5.0
    stage_names: tuple[str, ...] = field(default_factory=tuple)


def test_honest_names_are_left_alone():
    made = method(config=Honest, encode=function, loss=function, step=function, red=True, teacher_data=function)
    complete_method("mine", made)
    assert (made.Config().clip_norm, made.Config().bn_groups) == (5.0, None)


@pytest.mark.parametrize("config", [dict, SimpleNamespace(), dataclass(type("Plain", (), {}))])
def test_a_config_that_is_none_is_refused(config):
    with pytest.raises(
        PluginError, match=r"Config is .*, expected a frozen dataclass that inherits from PretrainConfig"
    ):
        complete_method("mine", method(config=config))


def test_a_plain_class_is_given_the_optional_members_and_keeps_its_own():
    made = method(schedule=function)
    complete_method("mine", made)
    assert made.schedule is function
    assert made.stage_data is MethodDefaults.stage_data
    one = made()
    one.ready = one.metrics = 1  # a method may set what it does not compute
    assert (one.start_stage(None), one.after_step(), one.ready, one.metrics) == (None, None, 1, 1)


@pytest.mark.parametrize(
    ("registered", "kind", "name", "member"),
    [
        (registry.datasets, "dataset", "reading_", "reading"),
        (registry.datasets, "dataset", "phantom_patient", "phantom_patients"),
        (registry.tasks, "task", "lsits", "lists"),
        (registry.tasks, "task", "group", "groups"),
    ],
)
def test_a_slip_in_a_dataset_or_task_is_named(registered, kind, name, member):
    made = registered.get("scr" if kind == "dataset" else "scr-heart")
    check_object(kind, "mine", bare(made, kind))
    plugin = bare(made, kind)
    setattr(plugin, name, function if member == "lists" else "x")
    with pytest.raises(PluginError, match=rf"{kind} 'mine' has no member '{name}': did you mean '{member}'"):
        check_object(kind, "mine", plugin)


@pytest.mark.parametrize(("registered", "kind"), [(registry.datasets, "dataset"), (registry.tasks, "task")])
def test_a_dataset_or_task_that_lacks_a_member_is_refused_by_its_name(registered, kind):
    plugin = bare(registered.get("scr" if kind == "dataset" else "scr-heart"), kind)
    for name in list(vars(plugin)):
        value = vars(plugin).pop(name)
        with pytest.raises(PluginError, match=f"{kind} 'mine' lacks '{name}'"):
            check_object(kind, "mine", plugin)
        setattr(plugin, name, value)


@pytest.mark.parametrize(("member", "word"), [("kind", "prob"), ("repeats", "single")])
def test_a_task_whose_kind_or_repeats_is_another_word_is_refused(member, word):
    plugin = bare(registry.tasks.get("scr-heart"), "task")
    setattr(plugin, member, word)
    with pytest.raises(PluginError, match=rf"^task 'mine': {member} must be one of .*, not '{word}'"):
        check_object("task", "mine", plugin)


def bare(plugin, kind):
    """An object with a plugin's required members alone."""
    contract, options = {"dataset": (Dataset, DatasetOptions), "task": (Task, TaskDefaults)}[kind]
    made = type("Bare", (), {})()
    vars(made).update({name: getattr(plugin, name) for name in members(contract) - members(options)})
    return made


def test_a_dataset_has_the_members_that_it_leaves_out():
    plugin = bare(registry.datasets.get("scr"), "dataset")
    check_object("dataset", "mine", plugin)
    assert (plugin.root, plugin.reading, plugin.phantom_patients, plugin.phantom_version) == (None, "", 247, None)
    own = bare(registry.datasets.get("scr"), "dataset")
    own.root, own.phantom_version = Path("mine"), 3
    check_object("dataset", "mine", own)
    assert (own.root, own.phantom_version) == (Path("mine"), 3)


@pytest.mark.parametrize("kind", [registry.tasks, registry.datasets, registry.methods])
def test_none_of_ours_is_refused(kind):
    kind.load_all()
    assert kind.failures() == {}


@pytest.mark.parametrize("pair", [("cat", "cats"), ("cta", "cat"), ("bat", "cat"), ("ct", "cat")])
def test_one_slip(pair):
    assert one_slip(*pair)
    assert one_slip(*reversed(pair))


@pytest.mark.parametrize("pair", [("cat", "cat"), ("cat", "dog"), ("cat", "catsy"), ("tac", "cat"), ("cat2", "cat")])
def test_no_slip_or_more_than_one(pair):
    assert not one_slip(*pair)


def test_a_contracts_members_are_those_it_writes_down():
    assert {"losses", "recipes", "stage_data", "metrics", "encoder"} <= members(Method)
    assert not [name for name in members(Method) if name.startswith("_")]
