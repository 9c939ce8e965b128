"""The paper's ablations: each loads by its name, and its variants differ in the ablated field and in nothing else."""

from dataclasses import asdict

import pytest

from eden_bench import protocols, registry
from eden_bench.errors import UsageError
from eden_bench.execution import request

EXPECTED = {
    "ablation-granularity": (
        "levels",
        {"adam-n0": (0,), "adam-n0-2": (0, 2), "adam-n0-2-4": (0, 2, 4)},
    ),
    "ablation-pruner": ("pruning_threshold", {"adam-pruner": 0.8, "adam-no-pruner": 2.0}),
    "ablation-threshold": (
        "pruning_threshold",
        {"adam-threshold-0.7": 0.7, "adam-threshold-0.8": 0.8, "adam-threshold-0.9": 0.9},
    ),
}


def configs_of(name):
    made = protocols.load(name)
    return {v: made.method_config(v, registry.methods.get(made.method_of(v)).Config()) for v in made.variants}


def test_every_ablation_is_known_at_two_sizes():
    assert protocols.ablations() == [name + size for name in sorted(EXPECTED) for size in ("", "-paper")]


@pytest.mark.parametrize("name", protocols.ablations())
def test_variants_differ_in_the_ablated_field_only(name):
    field, values = EXPECTED[name.removesuffix("-paper")]
    configs = {variant: asdict(config) for variant, config in configs_of(name).items()}
    assert {variant: config.pop(field) for variant, config in configs.items()} == values
    first, *others = configs.values()
    assert all(other == first for other in others)


@pytest.mark.parametrize("name", protocols.ablations())
def test_one_variant_is_adam_as_the_protocol_has_it(name):
    base = "paper" if name.endswith("-paper") else "quick"
    adam = registry.methods.get("adam").Config()
    assert protocols.load(name).base == base
    assert protocols.load(base).method_config("adam", adam) in configs_of(name).values()


@pytest.mark.parametrize("name", protocols.ablations())
def test_variants_name_a_method_that_exists_and_are_no_methods_themselves(name):
    made = protocols.load(name)
    chosen = request.choose_methods(["@variants"], made.variants)
    assert sorted(chosen) == sorted(made.variants)
    request.check_protocol(name, chosen, ["scr-heart"])


def test_a_file_may_start_from_an_ablation_but_not_take_its_name(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "ablation-pruner"\n[pretrain]\nepochs = 2\n')
    made = protocols.load(str(mine))
    assert (made.base, list(made.variants)) == ("quick", ["adam-pruner", "adam-no-pruner"])
    taken = tmp_path / "ablation-pruner.toml"
    taken.write_text('base = "quick"\n')
    with pytest.raises(UsageError, match="give the file another name"):
        protocols.load(str(taken))
    with pytest.raises(UsageError, match="ablation-pruner"):
        protocols.load("ablation-prunner")


def test_an_ablation_is_planned_by_its_name(eden_bench):
    asked = "run --protocol ablation-granularity --methods @variants --tasks scr-heart --seeds 0 --pretrain-seeds 0-2"
    done = eden_bench(*asked.split(), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(variant in done.stdout for variant in EXPECTED["ablation-granularity"][1]), done.stdout
    assert "9 cells" in done.stdout + done.stderr


def test_granularities_can_be_given_equal_epochs(tmp_path):
    path = tmp_path / "equal-epochs.toml"
    path.write_text('base = "ablation-granularity"\n[fair]\nepochs_total = 60\n')
    stages = [config.stages for config in configs_of(str(path)).values()]
    assert [[stage.epochs for stage in each] for each in stages] == [[60], [30, 30], [20, 20, 20]]
