"""The plan: names, seeds and shots; what is done, in which order, and which cells are the same."""

import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from eden_bench import api, records, registry
from eden_bench.contracts import Cell
from eden_bench.data.dataset_folders import cached_phantom
from eden_bench.errors import DataMissing, NotBuilt, UsageError
from eden_bench.execution import request
from eden_bench.execution.backbones import checkpoint_folders
from eden_bench.execution.estimate import estimate
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import make_plan
from eden_bench.execution.replay import replay
from eden_bench.settings import Settings

CELL = Cell(
    method="adam",
    method_config={"lr": 0.03, "arch": "resnet50"},
    checkpoint="c" * 64,
    task="scr-heart",
    data="d" * 64,
    splits="e" * 64,
    protocol={"epochs": 200, "lr": 1e-4},
    shots=3,
    seed=7,
    score_version=1,
    threads=2,
)
OTHER = {
    "method": "densecl",
    "method_config": {"lr": 0.03, "arch": "resnet18"},
    "checkpoint": "f" * 64,
    "task": "scr-clavicle",
    "data": "0" * 64,
    "splits": "1" * 64,
    "protocol": {"epochs": 200, "lr": 2e-4},
    "shots": None,
    "seed": 8,
    "score_version": 2,
    "threads": 1,
    "code": 0,
}


def plan_of(settings, past=(), **asked):
    wanted = request.make_ask(asked.pop("methods", "fake-random"), asked.pop("tasks", "fake-heart"), **asked)
    inputs = Inputs(settings)
    return make_plan(wanted, inputs, past or records.load(settings.out)), inputs


@pytest.mark.parametrize("name", [field.name for field in fields(Cell)])
def test_a_cell_changes_its_id_with_everything_that_can_change_its_scores(name):
    assert replace(CELL, **{name: OTHER[name]}).id != CELL.id


def test_a_cell_keeps_its_id_whatever_the_order_or_type_of_its_mappings():
    assert replace(CELL, protocol={"lr": 1e-4, "epochs": 200}).id == CELL.id
    assert replace(CELL, method_config=dict(reversed(CELL.method_config.items()))).id == CELL.id


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("0-9", None, tuple(range(10))),
        ("0,3,5", None, (0, 3, 5)),
        ("7, 0-2,1", None, (7, 0, 1, 2)),
        ([4, 2], None, (4, 2)),
        (None, 3, (0, 1, 2)),
        (None, None, tuple(range(10))),
    ],
)
def test_seeds_are_read(text, count, expected):
    assert request.parse_seeds(text, count) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "3-", "1.5", "9-0", "0-99999999999"])
def test_what_is_no_seed_is_refused(text):
    with pytest.raises(UsageError, match="--seeds"):
        request.parse_seeds(text)


def test_seeds_and_their_number_are_not_given_together():
    with pytest.raises(UsageError, match="give one"):
        request.parse_seeds("0-9", 10)
    with pytest.raises(UsageError, match="at least 1"):
        request.parse_seeds(None, 0)


def test_shots_are_read():
    assert request.parse_shots(["3,6", "full", "6"]) == (3, 6, None)
    assert request.parse_shots([None]) == (None,)
    for wrong in ("1", "x", "-3", "3.5"):
        with pytest.raises(UsageError, match="--shots"):
            request.parse_shots([wrong])


def test_names_globs_and_groups_are_resolved(fakes):
    assert request.choose(registry.tasks, ["fake-*"]) == ("fake-heart", "fake-lung")
    assert request.choose(registry.tasks, ["@fake-set"]) == ("fake-heart", "fake-lung")
    with pytest.raises(UsageError, match="Did you mean 'fake-heart'"):
        request.choose(registry.tasks, ["fake-haert"])


def test_a_method_that_cannot_be_loaded_stops_only_who_names_it(fakes, tmp_path, monkeypatch):
    bad = registry.Source("no_such_module_anywhere", "nowhere", None, "fake-zombie")
    monkeypatch.setattr(registry.methods, "_sources", [*registry.methods.sources(), bad])
    monkeypatch.setattr(registry.methods, "_tried", {})
    monkeypatch.setattr(registry.methods, "warn", lambda line: None)
    assert "fake-zombie" not in request.choose(registry.methods, ["fake-*"])
    with pytest.raises(UsageError, match="fake-zombie"):
        request.choose(registry.methods, ["fake-zombie"])


def test_the_phantom_is_run_quick_and_real_data_as_in_the_paper(settings, tmp_path):
    plan, _ = plan_of(settings)
    assert (plan.protocol.name, plan.phantom) == ("quick", True)
    plan, _ = plan_of(replace(settings, data=real_data(tmp_path)))
    assert (plan.protocol.name, plan.phantom) == ("paper", False)


def real_data(tmp_path, folder="fake"):
    root = tmp_path / "data" / folder
    root.mkdir(parents=True)
    for number in range(12):
        (root / f"{number:02}.txt").write_text("real" * number)
    return tmp_path / "data"


def test_phantom_and_real_data_never_stand_in_one_run(settings, fakes, tmp_path):
    class Other(fakes.FakeSet):
        name = "fake-other"
        card = replace(fakes.FakeSet.card, folders=("other",))

    registry.register_dataset(Other())
    registry.register_task(fakes.FakeTask("other-heart", dataset="fake-other"))
    data = real_data(tmp_path)
    real_data(tmp_path, "other")
    (data / "other" / "PHANTOM.json").write_text("{}")
    with pytest.raises(UsageError, match="fake-other is the phantom and fake-set is real"):
        plan_of(replace(settings, data=data), tasks="fake-heart,other-heart")


def test_missing_data_stop_a_run_that_has_nothing_else(settings, tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(DataMissing, match="has no folder fake"):
        plan_of(replace(settings, data=tmp_path / "data"))


def test_more_shots_than_images_are_refused(settings):
    with pytest.raises(UsageError, match="expected 2 to 12"):
        plan_of(settings, shots="3,13")


def test_ready_methods_come_seed_by_seed_and_pretraining_with_its_cells_after(settings):
    plan, _ = plan_of(
        settings, methods="fake-trained,fake-random,fake-broken", tasks="fake-heart,fake-lung", seeds="0,1"
    )
    order = [(slot.backbone.method[5:], slot.task[5:], slot.seed) for slot in plan.slots]
    assert order[:4] == [("random", "heart", 0), ("broken", "heart", 0), ("random", "heart", 1), ("broken", "heart", 1)]
    assert order[8:] == [
        ("trained", "heart", 0),
        ("trained", "heart", 1),
        ("trained", "lung", 0),
        ("trained", "lung", 1),
    ]
    assert [backbone.method for backbone in plan.to_pretrain] == ["fake-trained"]
    assert len({slot.backbone for slot in plan.slots[8:]}) == 1


def test_a_pretraining_has_another_folder_for_another_recipe(settings):
    def folder(**asked):
        plan, _ = plan_of(settings, methods="fake-trained", seeds="0", **asked)
        return plan.slots[0].backbone.folder

    assert folder() == folder()
    assert folder().parent == settings.out / "checkpoints"
    assert folder().name.startswith("fake-trained-")
    assert len({folder(), folder(pretrain_seeds=1), folder(protocol="paper")}) == 3


def test_a_dry_run_opens_nothing_that_no_record_asks_for(settings):
    wanted = request.make_ask("fake-trained,fake-random", "fake-heart")
    plan = make_plan(wanted, Inputs(settings, build=False), [])
    assert (len(plan.new), plan.phantom) == (20, True)
    assert not settings.cache.exists()
    assert not settings.out.exists()


def test_a_dry_run_draws_no_phantom_though_a_record_asks_for_its_task(settings, here):
    done = api.run("fake-random,fake-trained", "fake-heart", seeds="0", **here)
    wanted = request.make_ask("fake-random,fake-trained", "fake-heart", seeds="0-1")
    shutil.rmtree(settings.cache)
    plan = make_plan(wanted, Inputs(settings, build=False), done.records)
    assert (len(plan.new), len(plan.slots)) == (4, 4)
    assert not settings.cache.exists()


def test_a_dry_run_finds_what_is_stored_while_the_data_are_there(settings, here):
    done = api.run("fake-random,fake-trained", "fake-heart", seeds="0", **here)
    wanted = request.make_ask("fake-random,fake-trained", "fake-heart", seeds="0-1")
    plan = make_plan(wanted, Inputs(settings, build=False), done.records)
    assert (len(plan.new), len(plan.slots)) == (2, 4)


def test_a_dry_run_decodes_nothing_though_a_record_asks_for_its_task(settings, here, fakes):
    class Task(fakes.FakeTask):
        def open(self, index, protocol, context):
            if not context.build:
                raise NotBuilt.of("the store fake-images")
            return super().open(index, protocol, context)

    registry.register_task(Task("stored-heart"))
    done = api.run("fake-random", "stored-heart", seeds="0", **here)
    plan = make_plan(request.make_ask("fake-random", "stored-heart"), Inputs(settings, build=False), done.records)
    assert (len(plan.new), len(plan.slots)) == (10, 10)


def test_a_dry_run_refuses_more_shots_than_there_are_training_images_though_nothing_is_decoded(settings, here, fakes):
    class Task(fakes.FakeTask):
        def lists(self, index, protocol):
            return {"train": [item.id for item in index.items][:5], "test": []}, "the first five"

    registry.register_task(Task("listed-heart"))
    data = cached_phantom("fake-set", settings).parent
    few, many = (request.make_ask("fake-random", "listed-heart", shots=shots) for shots in ("5,full", "6"))
    assert len(make_plan(few, Inputs(settings, build=False), []).new) == 20
    for where in (None, data):
        with pytest.raises(UsageError, match="--shots 6: expected 2 to 5, the number of training images"):
            make_plan(many, Inputs(replace(settings, data=where), build=False), [])


def few_shot_task(fakes):
    """A task whose protocol has the fields that a cell's identity treats apart."""

    @dataclass(frozen=True, kw_only=True)
    class Protocol(fakes.FakeProtocol):
        few_shot_budget: str = "steps"
        precision: str = "auto"

    class Task(fakes.FakeTask):
        def protocol(self, name):
            return Protocol()

        def open(self, index, protocol, context):
            opened = super().open(index, fakes.FakeProtocol(), context)
            opened.data["precision"] = "fp32"
            return opened

    return Task("few-heart")


@pytest.mark.parametrize(("shots", "few"), [("full", {}), ("3", {"few_shot_budget": "steps"})])
def test_a_cell_hashes_few_shot_fields_only_with_few_shots_and_the_precision_that_auto_became(
    settings, here, fakes, shots, few
):
    registry.register_task(few_shot_task(fakes))
    done = api.run("fake-random", "few-heart", seeds="0", shots=shots, **here)
    (record,) = done.records
    assert record.cell.protocol == {"steps": 3, "scale": [0.5, 1.0], "precision": "fp32", **few}
    assert replay(record, Inputs(settings)).identical


def test_an_unreadable_card_of_another_checkpoint_stops_nothing(settings, here):
    api.run("fake-trained", "fake-heart", seeds="0", **here)
    (whole,) = checkpoint_folders(settings.out)
    for name, text in (("a", "{"), ("b", "{}")):
        folder = settings.out / "checkpoints" / f"fake-trained-{name}"
        folder.mkdir()
        (folder / "card.json").write_text(text)
    assert checkpoint_folders(settings.out, "fake-trained") == [whole]
    plan, _ = plan_of(settings, methods="fake-trained", seeds="0")
    assert plan.new == []
    plan, inputs = plan_of(settings, methods="fake-trained", seeds="0", pretrain_seeds=1)
    assert estimate(plan, [], inputs).pretrain_seconds == 2.0


def test_a_plugin_that_exits_while_it_is_opened_fails_alone(settings, fakes, monkeypatch):
    def leave(*arguments):
        raise SystemExit("bye")

    class Leaving(fakes.FakeTask):
        open = leave

    monkeypatch.setitem(registry.tasks._made, "fake-lung", Leaving("fake-lung"))
    monkeypatch.setattr(fakes.FakeAbsent, "weights_digest", leave)
    plan, _ = plan_of(settings, methods="fake-random,fake-absent", tasks="fake-heart,fake-lung", seeds="0")
    told = {(s.task, s.backbone.method): s.problem or s.backbone.problem for s in plan.slots}
    assert told.pop(("fake-heart", "fake-random")) is None
    assert {(problem.kind, problem.text) for problem in told.values()} == {("failed", "SystemExit: bye")}


def test_the_settings_of_a_folder_elsewhere_change_no_id(settings, here, tmp_path):
    first, inputs = plan_of(settings)
    moved = Settings(data=None, **{**here, "out": tmp_path / "elsewhere", "cache": tmp_path / "cache2"})
    second, _ = plan_of(moved)
    assert [slot.cell(1).id for slot in first.slots] == [slot.cell(1).id for slot in second.slots]
    assert inputs.threads == 1


def test_a_method_that_can_only_be_probed_is_left_out_of_what_would_fine_tune_it(settings, monkeypatch):
    registry.load_plugin_file(Path(__file__).parents[1] / "fake_probes.py")
    monkeypatch.setattr(registry.methods.get("fake-random"), "probe_only", True, raising=False)
    plan, _ = plan_of(settings, methods="fake-random,fake-trained", tasks="fake-heart,fake-probe,fake-look", seeds="0")
    planned = {(slot.backbone.label, slot.task) for slot in plan.slots}
    assert planned == {
        ("fake-random", "fake-probe"),
        *(("fake-trained", task) for task in ("fake-heart", "fake-probe", "fake-net", "fake-look")),
    }
    assert plan.left_out == {"fake-heart": ("fake-random",), "fake-look": ("fake-random",)}


def test_a_command_of_which_nothing_is_left_is_refused(settings, monkeypatch):
    monkeypatch.setattr(registry.methods.get("fake-random"), "probe_only", True, raising=False)
    with pytest.raises(
        UsageError, match="nothing to run: fake-random can be probed and not fine-tuned: left out of fake-h"
    ):
        plan_of(settings)


@pytest.fixture
def frozen(monkeypatch):
    """Let fake-heart have the frozen protocol linear, done once on all images; fake-lung has none."""
    kind = type(registry.tasks.get("fake-heart"))
    own = kind.protocol
    monkeypatch.setattr(kind, "frozen", property(lambda self: ("linear",) if self.name == "fake-heart" else ()))
    monkeypatch.setattr(kind, "protocol", lambda self, name: own(self, name.replace("linear-", "")))
    monkeypatch.setattr(kind, "repeats_for", lambda self, protocol, shots: "seeds" if shots else "once")


def test_a_frozen_protocol_is_planned_for_the_tasks_that_have_it(settings, frozen):
    others = {"tasks": "fake-heart,fake-lung", "protocol": "linear-quick", "methods": "fake-trained"}
    plan, _ = plan_of(settings, **others, shots=["full", 2], seeds="0-2")
    assert [(slot.task, slot.shots, slot.seed) for slot in plan.slots if slot.shots is None] == [
        ("fake-heart", None, 0)
    ]
    assert {slot.seed for slot in plan.slots if slot.shots == 2} == {0, 1, 2}
    assert plan.left_out_text == "fake-lung: left out, which have no protocol 'linear-quick'"
    assert plan.slots[0].job(plan).base == "linear-quick"


def test_a_frozen_protocol_that_no_task_has_is_refused_with_those_it_has(settings, frozen):
    with pytest.raises(UsageError, match="no task asked for has it; of frozen protocols fake-lung has none"):
        plan_of(settings, tasks="fake-lung", protocol="knn")


def test_what_can_only_be_probed_is_read_by_a_linear_protocol(settings, frozen, monkeypatch):
    monkeypatch.setattr(registry.methods.get("fake-random"), "probe_only", True, raising=False)
    plan, _ = plan_of(settings, protocol="linear-quick", seeds="0")
    assert [slot.backbone.label for slot in plan.slots] == ["fake-random"]
