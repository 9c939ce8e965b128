"""Fair-comparison switches: what is made alike, and what the report says of it."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from eden_bench import protocols, registry
from eden_bench.contracts import NORMALISATIONS, PretrainConfig, Stage, ViewRecipe
from eden_bench.errors import UsageError
from eden_bench.protocols import fair
from eden_bench.report.build import build
from eden_bench.report.outputs import markdown, table_json, text
from tests.eden_bench.stored import store


@dataclass(frozen=True, kw_only=True)
class Staged(PretrainConfig):
    augmentation: str = "mine"

    @property
    def stages(self):
        return tuple(Stage(str(level), self.epochs, level) for level in (0, 2, 4))


@dataclass(frozen=True, kw_only=True)
class Unit(PretrainConfig):
    keeps: ClassVar[tuple[str, ...]] = ("normalisation",)


def protocol(tmp_path, switches, base="quick"):
    path = tmp_path / "fair.toml"
    path.write_text(f'base = "{base}"\n[fair]\n{switches}\n')
    return protocols.load(str(path))


def total(config):
    return sum(stage.epochs for stage in config.stages)


@pytest.mark.trap(
    "methods",
    "fair comparison: epochs in all, images seen, views, normalisation, checkpoint rule",
    "switches, told in the report",
)
@pytest.mark.trap("moco-v2", "600 epochs for a fair compute", "a switch")
@pytest.mark.parametrize("wanted", [3, 60, 600])
def test_epochs_total_is_shared_out_among_stages(tmp_path, wanted):
    made = protocol(tmp_path, f"epochs_total = {wanted}")
    assert total(made.method_config("x", Staged())) == wanted
    assert total(made.method_config("x", PretrainConfig())) == wanted


def test_epochs_that_do_not_divide_are_shared_out_as_nearly_as_can_be():
    assert total(fair.with_epochs_total(Staged(), 100)) == 99
    assert total(fair.with_epochs_total(Staged(), 1)) == 3


@pytest.mark.parametrize("name", ["dira", "adam", "vicregl", "moco-v2"])
def test_the_methods_take_a_total_within_two_epochs(name):
    config = protocols.load("quick").method_config(name, registry.methods.get(name).Config())
    assert total(fair.with_epochs_total(config, 90)) == pytest.approx(90, abs=2)


def test_images_seen_become_epochs_of_whole_batches():
    config = PretrainConfig(batch_size=32, epochs=7)
    assert fair.with_images_seen(config, 10 * 224, train=246).epochs == 10  # 7 batches of 32, 22 images are dropped
    again = fair.with_images_seen(fair.with_images_seen(Staged(batch_size=32), 9 * 224, 246), 9 * 224, 246)
    assert total(again) == 9


def test_fields_are_shared_by_those_that_have_and_do_not_keep_them(tmp_path):
    made = protocol(tmp_path, 'augmentation = "adam"\nnormalisation = "none"\nselect = "last"')
    staged = made.method_config("x", Staged())
    assert (staged.augmentation, staged.normalisation, staged.select) == ("adam", "none", "last")
    assert made.method_config("x", Unit()).normalisation == "own"
    assert made.method_config("x", PretrainConfig()).select == "last"


def test_a_protocol_leaves_alone_what_a_method_keeps(tmp_path):
    path = tmp_path / "fair.toml"
    path.write_text('[pretrain]\nnormalisation = "imagenet"\n')
    made = protocols.load(str(path))
    assert made.method_config("x", Unit()).normalisation == "own"
    assert made.method_config("dira", registry.methods.get("dira").Config()).normalisation == "imagenet"


def test_images_seen_count_a_stages_own_images():
    words = registry.methods.get("transvw").Config(words=10, nearest=32, batch_size=32, autoencoder_share=0.5)
    assert fair.with_images_seen(words, 10 * 960 + 5 * 224, train=246).epochs == 10


def test_a_switch_overrules_a_methods_own_table(tmp_path):
    path = tmp_path / "fair.toml"
    path.write_text('[methods.x]\nselect = "best"\nlr = 0.5\n[fair]\nselect = "last"\n')
    config = protocols.load(str(path)).method_config("x", PretrainConfig())
    assert (config.select, config.lr) == ("last", 0.5)


def test_defaults_are_each_papers_own():
    assert protocols.load("paper").method_config("x", Staged()) == Staged()
    assert PretrainConfig().normalisation == "own"


def test_normalisations_change_mean_and_deviation_alone():
    recipe = ViewRecipe(flip_p=0.5, mean=(0, 0, 0), std=(1, 1, 1))
    assert recipe.normalised("own") is recipe
    assert recipe.normalised("imagenet") == ViewRecipe(flip_p=0.5)
    assert NORMALISATIONS["chest-x-ray"] == ((0.5056,) * 3, (0.252,) * 3)
    with pytest.raises(ValueError, match="normalisation must be own, imagenet, chest-x-ray, none, not 'x'"):
        PretrainConfig(normalisation="x")


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ("epochs = 3", r"unknown switch 'epochs'. Did you mean 'epochs_total'\?"),
        ("epochs_total = 3\nimages_seen = 3", "give one"),
        ("epochs_total = 0", "epochs_total is 0, expected a whole number"),
        ("images_seen = true", "images_seen is True, expected a whole number"),
        ("epochs_total = 2.5", "epochs_total is 2.5, expected a whole number"),
    ],
)
def test_switches_that_mean_nothing_are_refused(tmp_path, switches, message):
    with pytest.raises(UsageError, match=message):
        protocol(tmp_path, switches)


def card(images, family, rule="best", **more):
    return {
        "arch": "resnet50", "epochs": images // 100, "images_seen": images, "views": 2,
        "augmentation": {"family": family, "digest": family}, "normalisation": [[[0.485], [0.229]]],
        "selected": {"rule": rule}, **more,
    }  # fmt: skip


def notes(*records):
    (table,) = build(records).tables
    return [note for note in table.notes if note.startswith("pretraining compared")]


@pytest.mark.trap("methods", "fair comparison: epochs in all, images seen, views, normalisation, checkpoint rule")
def test_the_report_says_what_was_equal_and_what_was_not():
    equal, other = notes(
        *(store(None, "adam", 0.8, seed, card=card(6000, "adam")) for seed in range(2)),
        *(store(None, "densecl", 0.7, seed, card=card(2000, "moco")) for seed in range(2)),
        *(store(None, "random", 0.5, seed) for seed in range(2)),
    )
    assert "normalisation (mean 0.485, s.d. 0.229); checkpoint (lowest validation loss)" in equal
    assert "views of each (2)" in equal
    assert "images seen (adam 6,000, 3.0 times the least, densecl 2,000)" in other
    assert "augmentation (adam adam, densecl moco)" in other


def test_two_methods_own_views_are_not_taken_for_equal():
    first, second = card(100, "own"), card(100, "own")
    second["augmentation"] = {"family": "own", "digest": "another"}
    told = notes(store(None, "dira", 0.8, 0, card=first), store(None, "pcrl", 0.7, 0, card=second))
    assert "augmentation (dira own, pcrl own)" in told[1]


def test_another_backbone_is_told_of_rows_without_pretraining_too():
    told = notes(store(None, "adam", 0.8, 0, card={"arch": "vit_base_patch16_224"}), store(None, "random", 0.5, 0))
    assert "backbone (adam vit_base_patch16_224, random resnet18-w16)" in told[0]


def test_old_cards_and_lone_rows_say_nothing_of_what_they_do_not_know():
    assert notes(store(None, "random", 0.5, 0)) == []
    assert "images seen" not in "".join(notes(store(None, "adam", 0.8, 0), store(None, "densecl", 0.7, 0)))


def test_the_notes_stand_in_every_text_format():
    records = [store(None, "adam", 0.8, 0, card=card(300, "adam")), store(None, "densecl", 0.7, 0, card=card(100, "m"))]
    for render in (text.render, markdown.render, table_json.render):
        assert "3.0 times the least" in render(build(records))
