"""The files that the how-tos show work as they stand there."""

from pathlib import Path

import pytest

from eden_bench import load_plugin_file
from eden_bench.errors import DataMissing
from eden_bench.plugins.conformance import check
from eden_bench.registry import datasets, tasks

EXAMPLE = Path(__file__).parents[2] / "docs/how-to/ward_lungs.py"


@pytest.fixture
def ward_lungs(monkeypatch):
    """The example's reader, registered for one test."""
    for kind in (datasets, tasks):
        kind.load_all()
        monkeypatch.setattr(kind, "_made", dict(kind._made))
    load_plugin_file(EXAMPLE)
    return datasets.get("ward-lungs")


@pytest.mark.parametrize(("kind", "name"), [("dataset", "ward-lungs"), ("task", "ward-lungs")])
def test_the_example_keeps_the_contract(ward_lungs, kind, name):
    assert [found.problem for found in check(kind, name) if found.problem] == []


def test_the_example_pairs_masks_by_name_and_refuses_an_absent_one(ward_lungs, tmp_path):
    ward_lungs.write_phantom(tmp_path, patients=5, seed=0)
    items = ward_lungs.index(tmp_path).items
    assert [item.masks["lungs"][0].name for item in items] == [item.image.name for item in items]
    assert [item.split for item in items] == ["test"] + ["train"] * 4
    (tmp_path / "masks/WARD_0002_0.png").unlink()
    with pytest.raises(DataMissing, match=r"WARD_0002_0\.png has no mask, expected .*: unpack the release again"):
        ward_lungs.index(tmp_path)
