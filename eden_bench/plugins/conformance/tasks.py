"""Conformance checks of tasks and datasets, on the phantom that the dataset writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, ScoreDefinition, Task
from eden_bench.data.dataset_folders import reader
from eden_bench.encoders import build_encoder
from eden_bench.errors import DataMissing, EdenError, nearest
from eden_bench.plugins.conformance.findings import MORE_PATIENTS, Broken, Checks, check_card, need, phantom


def checks_of_task(name: str, folder: Path) -> Checks:
    """Yield the checks of a task."""
    task: Task = registry.tasks.get(name)
    yield "its score is defined in words", lambda: _check_score(task)
    yield "it has the protocols paper and quick", lambda: _check_protocols(task)
    yield from TaskTrial(task, folder).checks()


def _check_score(task: Task) -> None:
    need(len(task.score.text.split()) >= 5, f"the score's definition is {task.score.text!r}, expected a sentence")


def _check_protocols(task: Task) -> None:
    for name in ("paper", "quick"):
        need(is_dataclass(task.protocol(name)), f"protocol {name!r} is no dataclass")


class TaskTrial:
    """A task under test: protocol quick with few steps, on a small phantom."""

    _KEYS = ("dataset", "digest", "splits", "split_rule", "train", "validation", "test", "part", "phantom")

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.folder = task, folder

    def checks(self) -> Checks:
        """Yield the checks that open and run the task."""
        yield "it opens on its dataset's phantom and says what identifies the data", self.opens
        yield "its splits share no image", self.splits
        yield "its scores are within their bounds, with a row a case", self.scores
        yield "its primary score is the statistic of its cases that it names", self.statistic
        yield "its arrays can be stored beside its record", self.arrays
        yield "the same seed gives the same scores, cases and arrays, and another seed others", self.repeats

    @cached_property
    def opened(self) -> Any:  # noqa: ANN401 - an OpenTask
        """Open the task on its dataset's phantom, or on a larger one if the first has too few films for it."""
        try:
            return self._open(*phantom(self.task.dataset, self.folder))
        except DataMissing:
            self.folder = self.folder / "more"
            return self._open(*phantom(self.task.dataset, self.folder, MORE_PATIENTS))

    def _open(self, context: Context, index: DatasetIndex) -> OpenTask:
        protocol = self.task.protocol("quick")
        few = {"max_steps": 8, "validate_every": 4, "min_steps": 0}
        known = {f.name for f in fields(protocol)}
        protocol = replace(protocol, **{key: value for key, value in few.items() if key in known})
        return self.task.open(index, protocol, context)

    def run(self, seed: int) -> Any:  # noqa: ANN401 - an Outcome
        """Run one seed, from an untrained encoder, or on the network that the task inspects."""
        return self.opened.run(self._subject(seed), seed)

    def _subject(self, seed: int) -> Any:  # noqa: ANN401 - an encoder or a network
        if not self.task.looks_at:
            return build_encoder("resnet18-w16", seed)
        return TaskTrial(registry.tasks.get(self.task.looks_at), self.folder).run(seed).network

    @cached_property
    def outcome(self) -> Any:  # noqa: ANN401 - an Outcome
        """Return the outcome of seed 0."""
        return self.run(0)

    def opens(self) -> None:
        """Validate the provenance of the opened data."""
        data = self.opened.data
        absent = [key for key in self._KEYS if key not in data]
        need(not absent, f"data lack {', '.join(absent)}, expected {', '.join(self._KEYS)}")
        least = 2 if self.task.repeats == "seeds" else 0
        need(
            data["train"] >= least and data["test"] >= 1,
            f"data say {data['train']} training, {data['test']} test images",
        )

    def splits(self) -> None:
        """Validate that no image leaks: none is in two lists."""
        _, index = phantom(self.task.dataset, self.folder)
        made = self.task.lists(index, self.task.protocol("quick"))
        ids = [name for part in made[0].values() for name in part] if made else []
        need(len(ids) == len(set(ids)), "an image stands in two of train, validation and test")

    def scores(self) -> None:
        """Validate scores against their bounds, and the table of cases."""
        outcome = self.outcome
        records.check_outcome(outcome, self.task.score)
        rows = {len(column) for column in outcome.cases.values()}
        if self.task.repeats == "seeds" and not self.task.looks_at:
            need(rows == {self.opened.data["test"]}, f"cases have {rows} rows, expected one a test image")
        need({"case", "patient"} <= set(outcome.cases), "cases lack the column 'case' or 'patient'")

    def statistic(self) -> None:
        """Validate that the primary score equals the case statistic that its definition names."""
        score, told = self.task.score, self.outcome.scores
        if not score.statistic:
            return
        need(score.name in told, f"the scores are {', '.join(told)}, expected {score.name!r} among them")
        found, value = _statistic_of_cases(score, self.outcome.cases), told[score.name]
        need(
            abs(found - value) <= 1e-9 * max(1.0, abs(value)), f"{score.statistic} of its cases is {found}, not {value}"
        )

    def arrays(self) -> None:
        """Validate the kinds, names and size of its arrays."""
        records.encode(self.outcome.arrays)

    def repeats(self) -> None:
        """Run one seed twice, and another one if the task repeats over seeds; compare."""
        first, again = (self.run(seed) for seed in (1, 1))
        need(first.scores == again.scores, f"two runs of one seed gave {first.scores} and {again.scores}")
        same = records.cases_csv(first.cases) == records.cases_csv(again.cases)
        need(same, "two runs of one seed gave other cases: draw from the seed only")
        same = records.encode(first.arrays) == records.encode(again.arrays)
        need(same, "two runs of one seed gave other arrays: draw from the seed only")
        if self.task.repeats == "seeds":
            need(first.scores != self.run(2).scores, "two seeds gave the same scores: is the seed used?")


def _statistic_of_cases(score: ScoreDefinition, cases: Mapping[str, Sequence[Any]]) -> float:
    """Compute the statistic that a score names. Raises Broken if it is not registered or a column is missing."""
    import numpy as np

    function = case_statistics.statistic_of(score)
    if function is None:
        close = nearest(score.statistic, case_statistics.names())
        raise Broken(f"its score's statistic {score.statistic!r} is registered nowhere.{close}")
    try:
        return function({name: np.asarray(column) for name, column in cases.items()}, score.name)
    except KeyError as error:
        raise Broken(
            f"{score.statistic} asks for a column {error} of the cases, which are {', '.join(cases)}"
        ) from error


def checks_of_dataset(name: str, folder: Path) -> Checks:
    """Yield the checks of a dataset's reader."""
    dataset: Dataset = reader(name)
    yield "its card says where it comes from and under which terms", lambda: check_card(dataset.card)
    yield "an empty folder is refused in one sentence", lambda: _check_empty(dataset, folder)
    yield "it reads the phantom in its own layout", lambda: _check_reading(name, dataset, folder)
    yield "its check finds the phantom whole", lambda: _check_check(name, dataset, folder)


def _check_empty(dataset: Dataset, folder: Path) -> None:
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    try:
        dataset.index(empty)
    except EdenError as error:
        need("\n" not in str(error), f"the error has several lines: {error}")
    else:
        raise Broken("an empty folder gives an index, expected DataMissing")


def _check_reading(name: str, dataset: Dataset, folder: Path) -> None:
    import numpy as np

    _, index = phantom(name, folder)
    ids = [item.id for item in index.items]
    need(len(ids) == len(set(ids)), "two items have one id")
    need(ids == sorted(ids), "items are not sorted by id")
    need(index.phantom, "the index of a phantom does not say so")
    image = dataset.read_image(index.items[0])
    need(image.dtype == np.uint8 and image.ndim in (2, 3), f"images are {image.dtype} of {image.ndim} axes, not uint8")
    for item in index.items[:3]:
        for structure in {*item.masks, *item.drawn}:
            mask = dataset.read_mask(item, structure)
            need(mask.dtype == np.bool_ and mask.ndim == 2, f"mask {structure!r} is {mask.dtype}, expected bool (H, W)")


def _check_check(name: str, dataset: Dataset, folder: Path) -> None:
    phantom(name, folder)
    errors = [finding.text for finding in dataset.check(folder / name) if finding.level == "error"]
    need(not errors, f"check finds {len(errors)} errors in its own phantom, first: {errors[:1]}")
