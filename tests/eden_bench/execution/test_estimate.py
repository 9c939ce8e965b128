"""Time and memory of a plan are foretold from what was run on this machine, and from nothing else."""

import copy
import json

import pytest

from eden_bench import api, records
from eden_bench.cli.dry_run import _cost_lines
from eden_bench.execution import request
from eden_bench.execution.backbones import checkpoint_folders
from eden_bench.execution.estimate import _images, estimate
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import make_plan
from eden_bench.records import Record
from tasks.finetuning.loop import budget_of, steps_per_epoch
from tasks.finetuning.protocol import SegmentationProtocol


def foretold(settings, past, methods="fake-random", tasks="fake-heart", **asked):
    inputs = Inputs(settings)
    plan = make_plan(request.make_ask(methods, tasks, **asked), inputs, records.load(settings.out))
    return plan, estimate(plan, past, inputs)


def altered(record, *, shots="same", arch="same", **provenance):
    """The record as another cell would have left it."""
    content = copy.deepcopy(dict(record.content))
    content["provenance"] |= provenance
    content["cell"]["shots"] = record.cell.shots if shots == "same" else shots
    if arch != "same":
        content["cell"] |= {"method": "other", "method_config": {"arch": arch}}
    return Record(record.folder, content)


@pytest.fixture
def one(fakes, here):
    """A record of one cell."""
    (record,) = api.run("fake-random", "fake-heart", seeds="0", shots="3", **here).records
    return record


def test_before_anything_was_run_all_is_unknown_and_named(settings):
    plan, cost = foretold(settings, [], seeds="0")
    found = cost.cell_seconds, cost.memory_bytes, cost.device_memory_bytes, cost.disk_bytes
    assert found == (None, None, None, None)
    assert cost.unknown == ("fake-random · fake-heart · full",)
    told = _cost_lines(plan, cost)
    assert told[0].startswith("to run: 1 cell (time unknown); memory: unknown; disk: unknown;")
    assert told[1].startswith("unknown, since nothing like it was run on ")
    assert told[1].endswith(" with 1 threads: fake-random · fake-heart · full")


def test_a_cell_takes_the_median_of_those_alike_and_the_most_memory(settings, one):
    past = [altered(one, seconds=s, peak_memory_bytes=m) for s, m in ((1.0, 5), (2.0, 9), (9.0, 7))]
    _, cost = foretold(settings, past, seeds="1-4", shots="3")
    assert (cost.cell_seconds, cost.memory_bytes, cost.unknown) == (8.0, 9, ())
    assert cost.disk_bytes > 4 * 500


@pytest.mark.parametrize(
    "elsewhere", [{"device_name": "Another card"}, {"threads": 2}, {"device_name": ""}], ids=["card", "threads", "none"]
)
def test_what_was_run_on_another_machine_foretells_nothing(settings, one, elsewhere):
    _, cost = foretold(settings, [altered(one, **elsewhere)], seeds="1", shots="3")
    assert (cost.cell_seconds, cost.memory_bytes) == (None, None)


def test_a_method_of_the_same_architecture_foretells_and_another_does_not(settings, one):
    plan, _ = foretold(settings, [], "fake-trained", seeds="0", shots="3")
    arch = plan.slots[0].backbone.config.arch
    same, other = altered(one, arch=arch, seconds=3.0), altered(one, arch="vit_base_patch16_224", seconds=50.0)
    _, cost = foretold(settings, [same, other], "fake-trained", seeds="0", shots="3")
    assert cost.cell_seconds == 3.0
    assert foretold(settings, [other], "fake-trained", seeds="0", shots="3")[1].cell_seconds is None


def test_another_task_is_unknown(settings, one):
    assert foretold(settings, [one], tasks="fake-lung", seeds="0")[1].cell_seconds is None


@pytest.mark.parametrize("budget", ["steps", "epochs"])
@pytest.mark.parametrize(("shots", "other"), [(None, 12), (3, 24), (48, 6)])
def test_other_shots_are_scaled_by_the_images_that_fine_tuning_sees(budget, shots, other):
    """Derived from the budget of the fine-tuning itself: steps, and images in each."""
    protocol, train = SegmentationProtocol(batch_size=16, epochs=40, few_shot_budget=budget), 100

    def seen(count):
        return budget_of(protocol, count, train).steps * count / steps_per_epoch(count, protocol.batch_size)

    ratio = _images(other, train, protocol) / _images(shots, train, protocol)
    assert ratio == pytest.approx(seen(other) / seen(shots or train), rel=0.03)


def test_where_nothing_is_trained_shots_do_not_scale(settings, one):
    _, cost = foretold(settings, [altered(one, seconds=4.0)], seeds="0", shots="6")
    assert cost.cell_seconds == 4.0


def with_card(settings, **changes):
    for folder in checkpoint_folders(settings.out):
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, **changes}))


def test_a_pretraining_takes_what_one_of_the_same_settings_took(settings, here, fakes):
    done = api.run("fake-trained", "fake-heart", seeds="0", **here)
    _, cost = foretold(settings, done.records, "fake-trained", seeds="0", pretrain_seeds=1)
    assert (cost.pretrain_seconds, cost.unknown) == (2.0, ())
    assert cost.memory_bytes >= 3_000


def test_a_pretraining_of_more_epochs_takes_longer_in_proportion(settings, here, fakes):
    done = api.run("fake-trained", "fake-heart", seeds="0", **here)
    (folder,) = checkpoint_folders(settings.out)
    config = json.loads((folder / "card.json").read_text())["config"]
    with_card(settings, config={**config, "epochs": 2 * config["epochs"]})
    _, cost = foretold(settings, done.records, "fake-trained", seeds="0", pretrain_seeds=1)
    assert cost.pretrain_seconds == 1.0


@pytest.mark.parametrize(
    "changes", [{"device_name": "A card"}, {"threads": 9}, {"config": {"arch": "other"}}, {"data": {}}, {"history": 1}]
)
def test_a_pretraining_of_other_settings_machine_or_data_tells_no_time(settings, here, fakes, changes):
    done = api.run("fake-trained", "fake-heart", seeds="0", **here)
    with_card(settings, **changes)
    _, cost = foretold(settings, done.records, "fake-trained", seeds="0", pretrain_seeds=1)
    assert cost.pretrain_seconds is None
    assert cost.unknown == ("pretraining fake-trained",)


def test_a_pretraining_whose_card_cannot_be_read_tells_no_time(settings, here, fakes):
    done = api.run("fake-trained", "fake-heart", seeds="0", **here)
    for folder in checkpoint_folders(settings.out):
        (folder / "card.json").write_text("{")
    assert foretold(settings, done.records, "fake-trained", seeds="0", pretrain_seeds=1)[1].pretrain_seconds is None
