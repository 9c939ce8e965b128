"""What every task and dataset must hold, on the phantom that the dataset writes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, Task
from eden_bench.data.dataset_folders import reader
from eden_bench.encoders import build_encoder
from eden_bench.errors import DataMissing, EdenError
from eden_bench.plugins.conformance.findings import MORE_PATIENTS, Broken, Checks, check_card, need, phantom


def checks_of_task(name: str, folder: Path) -> Checks:
    """Yield the checks of a task."""
    task: Task = registry.tasks.get(name)
    yield "its score is defined in words", lambda: _check_score(task)
    yield "it has the protocols paper and quick", lambda: _check_protocols(task)
    trial = _TaskTrial(task, folder)
    yield "it opens on its dataset's phantom and says what identifies the data", trial.opens
    yield "its splits share no image", trial.splits
    yield "its scores are within their bounds, with a row a case", trial.scores
    yield "its primary score is the statistic of its cases that it names", trial.statistic
    yield "the same seed gives the same scores, and another seed others", trial.repeats


def _check_score(task: Task) -> None:
    need(len(task.score.text.split()) >= 5, f"the score's definition is {task.score.text!r}, expected a sentence")


def _check_protocols(task: Task) -> None:
    for name in ("paper", "quick"):
        need(is_dataclass(task.protocol(name)), f"protocol {name!r} is no dataclass")


class _TaskTrial:
    """A task at the protocol quick with few steps, on a small phantom."""

    _KEYS = ("dataset", "digest", "splits", "split_rule", "train", "validation", "test", "part", "phantom")

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.folder = task, folder
        self._opened: Any = None

    def open(self) -> Any:  # noqa: ANN401 - an OpenTask
        if self._opened is None:
            try:
                self._opened = self._open(*phantom(self.task.dataset, self.folder))
            except DataMissing:
                self.folder = self.folder / "more"
                self._opened = self._open(*phantom(self.task.dataset, self.folder, MORE_PATIENTS))
        return self._opened

    def _open(self, context: Context, index: DatasetIndex) -> OpenTask:
        protocol = self.task.protocol("quick")
        few = {"max_steps": 8, "validate_every": 4, "min_steps": 0}
        known = {f.name for f in fields(protocol)}
        protocol = replace(protocol, **{key: value for key, value in few.items() if key in known})
        return self.task.open(index, protocol, context)

    def run(self, seed: int) -> Any:  # noqa: ANN401 - an Outcome
        return self.open().run(self._subject(seed), seed)

    def _subject(self, seed: int) -> Any:  # noqa: ANN401 - an encoder, or the network that the task looks at
        if not self.task.looks_at:
            return build_encoder("resnet18-w16", seed)
        return _TaskTrial(registry.tasks.get(self.task.looks_at), self.folder).run(seed).network

    def opens(self) -> None:
        data = self.open().data
        absent = [key for key in self._KEYS if key not in data]
        need(not absent, f"data lack {', '.join(absent)}, expected {', '.join(self._KEYS)}")
        least = 2 if self.task.repeats == "seeds" else 0
        need(
            data["train"] >= least and data["test"] >= 1,
            f"data say {data['train']} training, {data['test']} test images",
        )

    def splits(self) -> None:
        _, index = phantom(self.task.dataset, self.folder)
        made = self.task.lists(index, self.task.protocol("quick"))
        ids = [name for part in made[0].values() for name in part] if made else []
        need(len(ids) == len(set(ids)), "an image stands in two of train, validation and test")

    def scores(self) -> None:
        outcome = self.run(0)
        records.check_outcome(outcome, self.task.score)
        rows = {len(column) for column in outcome.cases.values()}
        if self.task.repeats == "seeds" and not self.task.looks_at:
            need(rows == {self.open().data["test"]}, f"cases have {rows} rows, expected one a test image")
        need({"case", "patient"} <= set(outcome.cases), "cases lack the column 'case' or 'patient'")

    def statistic(self) -> None:
        """See that the primary score is the statistic of its cases that its definition names."""
        import numpy as np

        score, outcome = self.task.score, self.run(0)
        if not score.statistic:
            return
        function = case_statistics.statistic_of(score)
        need(function is not None, f"its score's statistic {score.statistic!r} is registered nowhere")
        columns = {name: np.asarray(column) for name, column in outcome.cases.items()}
        found, told = function(columns, score.name) if function else 0.0, outcome.scores[score.name]
        need(abs(found - told) <= 1e-9 * max(1.0, abs(told)), f"{score.statistic} of its cases is {found}, not {told}")

    def repeats(self) -> None:
        first, again, other = (self.run(seed).scores for seed in (1, 1, 2))
        need(first == again, f"two runs of one seed gave {first} and {again}")
        if self.task.repeats == "once":
            return
        need(first != other, "two seeds gave the same scores: is the seed used?")


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
