"""The cards' published numbers: the table of the Adam paper's Fig. 3, value by value where a text gives the same."""

import pytest

from eden_bench import registry
from pretrain.published import adams_figure

READ = {name: registry.methods.get(name).card.reference for name in registry.methods.names()}
IN_FIG_3 = {name for name, found in READ.items() if "scr-heart" in found}
TASKS = {"scr-clavicle", "scr-heart", "chestx-det", "siim-acr", "vindr-rib", "chestxray14", "vindr-cxr", "shenzhen"}
TEXT = {
    ("random", "chestxray14"): 80.31,
    ("supervised-imagenet", "chestxray14"): 81.70,
    ("dira", "chestxray14"): 81.12,
    ("random", "siim-acr"): 67.54,
    ("supervised-imagenet", "siim-acr"): 67.93,
    ("supervised-chestxray14", "siim-acr"): 68.92,
    ("dira", "siim-acr"): 69.24,
    ("random", "shenzhen"): 89.03,
    ("supervised-imagenet", "shenzhen"): 95.62,
    ("supervised-chestxray14", "shenzhen"): 96.32,
}
"""Means printed in other papers of the group, which the readings are to agree with."""


def mean(method, task):
    return float(READ[method][task].partition(" ")[0])


@pytest.mark.parametrize(("method", "task"), TEXT)
def test_readings_agree_with_the_texts(method, task):
    assert mean(method, task) == pytest.approx(TEXT[method, task], abs=0.0101)


@pytest.mark.parametrize("name", sorted(IN_FIG_3))
def test_each_card_has_its_row_and_says_where_it_was_read(name):
    found = READ[name]
    absent = {"chestxray14"} if name == "supervised-chestxray14" else set()
    assert set(found) - {"drive"} == TASKS - absent
    assert all("digitised" in text and "±" in text for text in found.values())


def test_the_table_is_the_papers_reading_by_reading():
    assert READ["adam"]["scr-clavicle"].startswith("90.72 ± 0.85 (")
    assert READ["adam"]["shenzhen"].startswith("94.61 ± 0.84 (")
    assert READ["vicregl"]["vindr-cxr"].startswith("81.99 ± 1.00 (")
    assert READ["moco-v2"]["drive"].startswith("78.43 ± 0.34 (")
    assert READ["transvw"]["shenzhen"].startswith("89.73 ± about 0 (")
    assert "drive" not in READ["vicregl"]


def test_adam_is_above_every_self_supervised_method_on_all_tasks_and_not_above_all_on_shenzhen():
    others = IN_FIG_3 - {"adam", "random", "supervised-imagenet", "supervised-chestxray14"}
    assert all(mean("adam", task) > max(mean(other, task) for other in others) for task in TASKS)
    assert mean("supervised-imagenet", "shenzhen") > mean("adam", "shenzhen")


def test_every_bar_of_the_figure_is_there():
    assert len(IN_FIG_3) == 12


def test_a_method_that_the_figure_does_not_have_is_refused():
    with pytest.raises(ValueError, match="no row of it"):
        adams_figure("adm")
