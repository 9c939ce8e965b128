"""Variants of methods: named in a protocol, told apart in plans, records and tables."""

import json

import pytest

from eden_bench import api, protocols, records, registry
from eden_bench.errors import UsageError
from eden_bench.execution import request
from eden_bench.report.build import build


@pytest.fixture
def protocol(tmp_path):
    """A protocol with two variants of one pretrained method and one of a source."""
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "quick"\n'
        "[methods.fake-trained]\nlr = 0.5\n"
        '[variants.cold]\nmethod = "fake-trained"\ntemperature = 0.1\n'
        '[variants.wide]\nmethod = "fake-random"\nwidth = 5\n'
    )
    return str(path)


def test_a_variant_is_its_method_with_other_values(fakes, protocol):
    made = protocols.load(protocol)
    config = made.method_config("cold", fakes.FakePretrainConfig())
    assert (made.method_of("cold"), made.method_of("fake-trained")) == ("fake-trained", "fake-trained")
    assert (config.temperature, config.lr, config.epochs) == (0.1, 0.5, 20)
    assert made.method_config("fake-trained", fakes.FakePretrainConfig()).temperature == 0.2


def test_variants_stand_beside_their_method_in_one_table(here, protocol):
    done = api.run("fake-trained,cold,fake-random,wide", "fake-heart", n_seeds=2, protocol=protocol, **here)
    assert done.exit_code == 0
    assert set(done.results()["method"]) == {"fake-trained", "cold", "fake-random", "wide"}
    (table,) = build(done.records).tables
    assert {row.label for row in table.rows} == {"fake-trained", "cold", "fake-random", "wide"}
    assert len({record.id for record in done.records}) == 8
    cold = next(record for record in done.records if record.label == "cold")
    assert (cold.cell.method, cold.cell.method_config["temperature"]) == ("fake-trained", 0.1)
    assert "--methods cold" in cold.content["command"]
    assert len(list((here["out"] / "checkpoints").glob("fake-trained-*"))) == 2


def test_a_variant_is_tested_against_its_method(here, protocol):
    done = api.run("fake-trained,cold", "fake-heart", n_seeds=2, protocol=protocol, **here)
    (table,) = build(done.records, method="cold").tables
    assert [(c.row.label, c.other.label) for c in table.comparisons] == [("cold", "fake-trained")]


def test_a_second_run_reuses_the_variants_cells(here, protocol):
    for expected in ("ran", "reused"):
        done = api.run("cold,wide", "fake-heart", n_seeds=1, protocol=protocol, **here)
        assert {slot.state for slot in done.slots} == {expected}
    assert {record.label for record in records.load(here["out"])} == {"cold", "wide"}


def test_a_variant_has_no_place_in_the_cells_identity(here, protocol, tmp_path):
    """The same method with the same values is the same cell, whatever it is called."""
    (first,) = api.run("wide", "fake-heart", n_seeds=1, protocol=protocol, **here).records
    other = tmp_path / "other.toml"
    other.write_text('base = "quick"\n[methods.fake-random]\nwidth = 5\n')
    (second,) = api.run("fake-random", "fake-heart", n_seeds=1, protocol=str(other), **here).records
    assert first.id == second.id


def test_all_variants_are_chosen_at_once(fakes, protocol):
    variants = protocols.load(protocol).variants
    assert request.choose_methods(["@variants"], variants) == ("cold", "wide")
    assert request.choose_methods(["cold, fake-random,cold"], variants) == ("cold", "fake-random")
    with pytest.raises(UsageError, match="unknown method 'cold'"):
        request.choose_methods(["cold"], ())
    with pytest.raises(UsageError, match="no method is chosen"):
        request.choose_methods([""], variants)


def test_variants_are_pretrained_alone_too(here, protocol):
    (made,) = api.pretrain("@variants", data_name="fake-set", protocol=protocol, **here)
    assert made.method == "cold"
    assert json.loads((made.checkpoint.folder / "card.json").read_text())["config"]["temperature"] == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[variants.cold]\ntemperature = 1\n", r"\[variants.cold\] names no method"),
        ('[variants."a/b"]\nmethod = "fake-random"\n', "variant 'a/b': expected a name"),
        ("[variants]\ncold = 3\n", r"variants.cold is 3, expected a table"),
        ('[variants.cold]\nmethod = "fake-trian"\n', r"unknown method 'fake-trian'. Did you mean"),
        ('[variants.fake-random]\nmethod = "fake-trained"\n', "variant 'fake-random' is a method's name"),
        ('[variants.cold]\nmethod = "fake-random"\nheight = 2\n', "method cold: unknown option 'height'"),
    ],
)
def test_a_variant_that_means_nothing_is_refused(here, tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        api.run("cold,fake-random" if "variants.cold]" in text else "fake-random", "fake-heart",
                n_seeds=1, protocol=str(path), **here)  # fmt: skip


def test_adams_ablations_are_variants(tmp_path):
    path = tmp_path / "ablation.toml"
    path.write_text(
        'base = "quick"\n[variants.adam-no-pruner]\nmethod = "adam"\npruning_threshold = 2\n'
        '[variants.adam-grid-3]\nmethod = "adam"\ndecomposition = "grid"\nlevels = [0, 3]\n'
        '[variants.vicregl-global]\nmethod = "vicregl"\nalpha = 1\n'
    )
    made = protocols.load(str(path))
    config = {v: made.method_config(v, registry.methods.get(made.method_of(v)).Config()) for v in made.variants}
    assert config["adam-no-pruner"].pruning_threshold == 2
    assert [(s.rows, s.columns) for s in config["adam-grid-3"].stages] == [(1, 1), (3, 3)]
    assert config["vicregl-global"].alpha == 1
