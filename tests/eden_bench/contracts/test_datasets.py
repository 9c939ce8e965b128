"""A word that is none of the known ones is refused where it is written, before an image is left out unseen."""

from pathlib import Path

import pytest

from eden_bench import DataDamaged, DatasetCard, DatasetIndex, Item, registry


@pytest.mark.parametrize("split", ["training", "validation", "Train", "", None])
def test_an_item_is_in_one_of_the_two_splits(split):
    with pytest.raises(DataDamaged, match=rf"^film 7: split must be one of train, test, not {split!r}"):
        Item(id="film 7", patient="p", split=split, image=Path("7.png"))


def test_a_slip_in_a_split_names_the_nearest():
    with pytest.raises(DataDamaged, match=r"not 'training'\. Did you mean 'train'\?$"):
        Item(id="film 7", patient="p", split="training", image=Path("7.png"))


def test_a_card_has_a_known_modality():
    texts = dict.fromkeys(("title", "citation", "licence", "source"), "x")
    with pytest.raises(ValueError, match=r"^modality must be one of chest-x-ray, fundus, not 'x-ray'"):
        DatasetCard(modality="x-ray", folders=("x",), expected_images=1, **texts)


@pytest.mark.trap("inputs", "labels that are neither 0 nor 1, NaN among them", "refused, the image named")
@pytest.mark.parametrize("label", [float("nan"), -1.0, 0.5, None])
def test_a_label_is_0_or_1(label):
    with pytest.raises(DataDamaged, match=rf"^film 7: one of its labels is {label!r}, expected 0 or 1: mend it"):
        Item(id="film 7", patient="p", split="train", image=Path("7.png"), labels=(0.0, label, 1.0))


@pytest.mark.parametrize(("phantom", "shareable", "shown"), [(0, 0, False), (0, 1, True), (1, 0, True)])
def test_records_hold_images_of_phantoms_and_of_licences_that_allow_it(phantom, shareable, shown):
    texts = dict.fromkeys(("title", "citation", "licence", "source"), "x")
    card = DatasetCard(modality="fundus", folders=("x",), expected_images=1, shareable=bool(shareable), **texts)
    index = DatasetIndex(dataset="x", root=Path(), items=(), expected_images=1, phantom=bool(phantom))
    assert card.shows(index) is shown


def test_no_dataset_that_is_not_to_be_passed_on_is_shareable():
    cards = {name: registry.datasets.get(name).card for name in registry.datasets.names()}
    assert {name for name, card in cards.items() if card.shareable} == {"chestxray14", "chestx-det"}
    assert not [name for name, card in cards.items() if card.shareable and "not to be passed on" in card.licence]
