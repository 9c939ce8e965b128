"""Predicted masks from the request to the record: on request, of bounded size, and no part of a cell's identity."""

from dataclasses import replace

import numpy as np
import pytest

from eden_bench import api, registry
from eden_bench.contracts import Outcome
from eden_bench.errors import UsageError
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.replay import replay
from eden_bench.records import arrays, masks
from eden_bench.settings import Settings
from tests.tasks.finetuning.test_from_toml import LEAST, draw

QUICK = "[quick]\nsize_px = 32\nscore_px = 40\nmax_steps = 2\nvalidate_every = 1\nbatch_size = 4\n"
pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture
def here(tmp_path):
    draw(tmp_path, [f"{number:02}" for number in range(20)])
    (tmp_path / "lungs.toml").write_text(LEAST + QUICK)
    return {"out": tmp_path / "runs", "cache": tmp_path / "cache", "device": "cpu", "threads": 1}


class Listening:
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def cell(self, done, total, line):
        pass

    def progress(self, what, done, total):
        pass


def run(here, **more):
    plugin = here["out"].parent / "lungs.toml"
    return api.run("random", "lungs", seeds="0", protocol="quick", plugins=[plugin], **here, **more).slots[0]


def test_masks_are_kept_where_they_are_asked_for_and_move_neither_id_nor_score(here, tmp_path):
    kept = run(here, keep_masks=True).record
    plain = run({**here, "out": tmp_path / "others"}).record
    assert (kept.id, kept.scores) == (plain.id, plain.scores)
    assert plain.facts.arrays is None
    assert masks.kept_in(plain) is None
    assert kept.cases_bytes() == plain.cases_bytes()
    found, cases = masks.kept_in(kept), kept.cases()
    assert (found.cases, found.structures) == (cases["case"].tolist(), ["lungs"])
    assert found.pixels.sum(axis=(1, 2, 3)).tolist() == cases["predicted_px"].tolist()
    assert "--keep-masks" in kept.content["command"]
    assert "--keep-masks" not in plain.content["command"]


def truths_of(here, shareable):
    (here["out"].parent / "lungs.toml").write_text(f"shareable = {shareable}\n{LEAST}{QUICK}")
    return run({**here, "out": here["out"].parent / shareable}, keep_masks=True).record


def test_the_true_masks_and_films_of_three_images_go_along_where_the_licence_allows_it(here):
    open_, closed = (truths_of(here, shareable) for shareable in ("true", "false"))
    assert closed.scores == open_.scores
    arrays, cases = open_.arrays(), open_.cases()
    assert set(arrays) - set(closed.arrays()) == {"example_cases", "example_truth", "example_films"}
    ranked = sorted(zip(cases["dice"], range(len(cases)), strict=True))
    expected = [ranked[0][1], ranked[(len(ranked) - 1) // 2][1], ranked[-1][1]]
    chosen = arrays["example_cases"].tolist()
    assert chosen == cases["case"][expected].tolist()
    predicted, true = masks.kept_in(open_), np.unpackbits(arrays["example_truth"], axis=-1, count=1600)
    for case, mask in zip(chosen, true.reshape(len(chosen), 40, 40), strict=True):
        line, found = cases[cases["case"] == case].iloc[0], predicted.pixels[predicted.cases.index(case), 0]
        assert mask.sum() == line["true_px"]
        assert (mask & found).sum() == line["overlap_px"]
    assert arrays["example_films"].shape == (len(chosen), 32, 32)


def test_a_record_with_masks_is_replayed_with_them(here):
    record = run(here, keep_masks=True).record
    assert replay(record, Inputs(Settings(data=None, **here))).identical


def test_a_cell_stored_without_masks_is_left_as_it_is_and_that_is_said(here):
    run(here)
    watch = Listening()
    assert run(here, keep_masks=True, watch=watch).state == "reused"
    assert "1 of 1 cells are stored without masks and stay so: repeat them with --force to keep masks" in watch.lines
    again = run(here, keep_masks=True, force=True, watch=(silent := Listening()))
    assert masks.kept_in(again.record) is not None
    assert not any("without masks" in line for line in silent.lines)
    run(here, keep_masks=True, watch=(silent := Listening()))
    assert not any("without masks" in line for line in silent.lines)


def test_masks_beyond_the_bound_are_left_out_and_counted(here, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_BYTES", 300 + masks._SPARED)
    watch = Listening()
    record = run(here, keep_masks=True, watch=watch).record
    assert len(masks.kept_in(record).cases) == 1
    rows = len(record.cases())
    assert any(f"masks of the first 1 of {rows} test images are kept" in line for line in watch.lines)


def test_masks_of_tasks_without_any_are_refused(here):
    with pytest.raises(UsageError, match="--keep-masks: none of chestxray14 is a segmentation"):
        api.run("random", "chestxray14", keep_masks=True, **here)


def test_packed_masks_are_an_eighth_and_unpack_to_the_same():
    pixels = np.random.default_rng(0).random((3, 2, 5, 7)) > 0.5
    bundled = masks.bundle(masks.packed(pixels), (5, 7), ("a", "b"))
    assert bundled["masks"].nbytes == 3 * 2 * 5
    outcome, note = masks.beside(Outcome({}, {"case": ["x", "y", "z"]}, masks=bundled))
    found = masks.unpacked(arrays.decode(arrays.encode(outcome.arrays)))
    assert note == ""
    np.testing.assert_array_equal(found.pixels, pixels)


def test_a_field_that_came_later_is_part_of_an_id_only_where_it_is_not_at_its_default(here, tmp_path):
    before = run(here).record.cell
    assert "tolerance_px" not in before.protocol
    (tmp_path / "wide.toml").write_text('base = "quick"\n[segmentation]\ntolerance_px = 5\n')
    plugin = tmp_path / "lungs.toml"
    (slot,) = api.run(
        "random", "lungs", seeds="0", protocol=str(tmp_path / "wide.toml"), plugins=[plugin], **here
    ).slots
    assert slot.record.cell.protocol["tolerance_px"] == 5
    assert replace(slot.record.cell, protocol=before.protocol) == before
    assert replay(slot.record, Inputs(Settings(data=None, **here))).identical
    task = registry.tasks.get("lungs")
    assert task.protocol("quick").tolerance_px == 2
