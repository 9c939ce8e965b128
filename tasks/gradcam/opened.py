"""The open Grad-CAM task: films with boxes decoded, controls scored once, a network's maps scored at each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.case_statistics import mean_over_labels
from eden_bench.contracts import Context, DatasetIndex, OpenTask, Outcome
from eden_bench.data.dataset_folders import reader
from eden_bench.data.image_store import open_images
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.errors import EdenError
from tasks.finetuning.device_images import Resident, in_batches, normalised
from tasks.finetuning.networks import Classifier
from tasks.gradcam import controls, measures
from tasks.gradcam.maps import Form, Layer, enlarged, grad_cam, layer_of
from tasks.gradcam.truth import boxed, truth_of

if TYPE_CHECKING:
    from tasks.grad_cam import GradCamProtocol, GradCamTask

Columns = dict[str, np.ndarray]
_SHARED = ("pointing", "iou", "energy")
"""What is told of every control, and as a skill."""
FLOOR, CEILING = "class prior", "grid oracle"
LEAST_RANGE = 0.05
"""Between the two, or a skill would say more of the grid than of the map."""


class OpenGradCam(OpenTask):
    """Grad-CAM ready to run; see ``contracts.OpenTask``.

    Raises:
        DataMissing: no test film has a box, or all are of one patient.
        DataDamaged: a box does not lie on its film.
    """

    def __init__(self, task: GradCamTask, index: DatasetIndex, protocol: GradCamProtocol, context: Context) -> None:
        self.task, self.protocol, self.device = task, protocol, torch.device(context.device)
        films = boxed(index)
        dataset = context.dataset or reader(index.dataset)
        images = open_images(replace(index, items=films), dataset, protocol.size_px, context)
        self.images = Resident(images.images, self.device)
        self.truth = truth_of(films, images.native_px)
        self.shows_films = dataset.card.shows(index)
        self.columns = {label: column for column, label in enumerate(index.label_names)}
        self.findings = self.truth.findings(index.label_names)
        self._masks = self.truth.masks(protocol.size_px)
        self._evax_masks = self.truth.masks(protocol.size_px, "evax")
        self._folds = self.truth.folds(min(protocol.folds, len(set(self.truth.patients))))
        self._known: dict[str, tuple[Columns, float]] = {}
        self.data: dict[str, Any] = {
            "dataset": index.dataset,
            "digest": digest([images.digest, [[item.id, item.boxes] for item in films], list(index.label_names)]),
            "splits": digest([item.id for item in films]),
            "split_rule": f"the test images that have boxes; {index.split_rule}",
            "test_list": index.split_digest("test"),
            "train": len(index.split("train")),
            "validation": 0,
            "test": len(films),
            "part": index.part,
            "phantom": index.phantom,
        }

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the maps of a fine-tuned network; see ``contracts.OpenTask.run``.

        Raises:
            EdenError: it is no classifier of the dataset's labels.
        """
        network = _classifier(encoder, self.columns)
        maps = self._maps_of(network, _layers(network))
        own = self._measured(maps["last"])
        theta, evax = self._evax(maps["evax"]) if "evax" in maps else (0.0, {})
        others = dict(self._controls(network, seed, maps["grid"].shape))
        cases = {**self._described(), **own, **evax, **_named(others)}
        scores = {**self._scores(own, others), **_evax_scores(theta, evax, others)}
        told = {"layer": "the last map that is pooled", "findings": self.findings, "boxes": len(self.truth)}
        floors = {name: scores[f"pointing_of_{_word(name)}"] for name in others}
        kept = self._kept(maps["last"], own)
        return Outcome(scores, {k: v.tolist() for k, v in cases.items()}, told, controls=floors, arrays=kept)

    # ── maps ─────────────────────────────────────────────────────────────────────────────────────

    def _maps_of(
        self, network: Classifier, layers: Mapping[Form, Layer], *, wrong: bool = False
    ) -> dict[str, np.ndarray]:
        """Return each layer's maps of all rows, (N, size, size) float32, and under "grid" zeros of a map's own size."""
        network.requires_grad_(False).eval()
        parts: dict[str, list[np.ndarray]] = {form: [] for form in layers}
        explained = self._wrong_columns() if wrong else self._right_columns()
        for rows in in_batches(np.arange(len(self.truth)), self.protocol.batch_size):
            found = grad_cam(network, list(layers.values()), self._inputs(network, rows), explained[rows])
            for form, one in zip(layers, found, strict=True):
                parts[form].append(enlarged(one, self.protocol.size_px))
            grid = np.zeros(found[0].shape[1:])
        return {**{form: np.concatenate(each) for form, each in parts.items()}, "grid": grid}

    def _inputs(self, network: Classifier, rows: np.ndarray) -> Tensor:
        """Return whole films as the network was fine-tuned to see them, (B, 3, S, S)."""
        films, side = self.images(self.truth.films[rows]).float() / 255, network.protocol.size_px
        if side < self.protocol.size_px:
            films = functional.interpolate(films, (side, side), mode="area")
        elif side > self.protocol.size_px:
            films = functional.interpolate(films, (side, side), mode="bilinear", align_corners=False)
        return normalised(films, network.protocol)

    def _right_columns(self) -> Tensor:
        return torch.tensor([self.columns[label] for label in self.truth.labels], device=self.device)

    def _wrong_columns(self) -> Tensor:
        """Return for each row the next finding that its film does not show."""
        return torch.tensor([self._wrong_column(row) for row in range(len(self.truth))], device=self.device)

    def _wrong_column(self, row: int) -> int:
        item, own = self.truth.items[row], self.columns[self.truth.labels[row]]
        boxed_here = {self.columns[box.label] for box in item.boxes or ()}
        after = [(own + step) % len(self.columns) for step in range(1, len(self.columns))]
        among = {self.columns[finding] for finding in self.findings} - boxed_here
        free = [column for column in after if column in among and not item.labels[column]]
        return (free or [column for column in after if column not in boxed_here] or after)[0]

    # ── scores ───────────────────────────────────────────────────────────────────────────────────

    def _measured(self, maps: np.ndarray) -> Columns:
        """Return what maps score, a column a score."""
        ious, ratios = measures.curves(maps, self._masks)
        chosen = measures.thresholds_by_fold(ious, self.truth.labels, self._folds)[:, None]
        iou = np.take_along_axis(ious, chosen, axis=1)[:, 0]
        return {
            "pointing": measures.pointing(maps, self._masks),
            "iou": iou,
            **{f"localised_{100 * level:.0f}": (iou > level).astype(float) for level in measures.IOU_LEVELS},
            "energy": measures.energy(maps, self._masks),
            "empty": (maps.max(axis=(1, 2)) == 0).astype(float),
            "area_ratio": np.take_along_axis(ratios, chosen, axis=1)[:, 0],
            **measures.regions(maps, self._masks),
        }

    def _evax(self, maps: np.ndarray) -> tuple[float, Columns]:
        """Return EVA-X's θ and what maps score by its rule."""
        ious, _ = measures.curves(maps, self._evax_masks)
        best = measures.evax_threshold(ious)
        iou = ious[:, best]
        ap25, ap50 = (iou > 0.25).astype(float), (iou > 0.5).astype(float)
        columns = {"evax_miou": iou, "evax_ap25": ap25, "evax_ap50": ap50, "evax_map": (ap25 + ap50) / 2}
        return float(measures.THRESHOLDS[best]), columns

    def _controls(
        self, network: Classifier, seed: int, grid: tuple[int, ...]
    ) -> Iterator[tuple[str, tuple[Columns, float]]]:
        """Yield each control's columns and its mAP by EVA-X's rule; those that look at no network are made once."""
        size_px, rows = self.protocol.size_px, len(self.truth)
        shape = (rows, size_px, size_px)
        truth = self.truth
        makers: dict[str, Callable[[], np.ndarray]] = {
            "centre blob": lambda: np.broadcast_to(controls.centre_blob(size_px), shape),
            "whole film": lambda: np.broadcast_to(controls.whole_film(size_px), shape),
            FLOOR: lambda: controls.class_prior(self._masks, list(truth.labels), truth.patients),
            f"{CEILING} {grid}": lambda: controls.grid_oracle(self._masks, (grid[0], grid[1])),
        }
        for name, make in makers.items():
            if name not in self._known:
                self._known[name] = self._as_control(make())
            yield CEILING if name.startswith(CEILING) else name, self._known[name]
        spoilt = controls.with_random_weights(network, seed)
        yield "random weights", self._as_control(self._maps_of(spoilt, _layers(spoilt, ("last",)))["last"])
        yield "wrong class", self._as_control(self._maps_of(network, _layers(network, ("last",)), wrong=True)["last"])

    def _as_control(self, maps: np.ndarray) -> tuple[Columns, float]:
        columns = self._measured(maps)
        return {name: columns[name] for name in _SHARED}, float(self._evax(maps)[1]["evax_map"].mean())

    def _scores(self, own: Columns, others: Mapping[str, tuple[Columns, float]]) -> dict[str, float]:
        scores = {name: self._macro(column) for name, column in own.items()}
        of = {name: {s: self._macro(columns[s]) for s in _SHARED} for name, (columns, _) in others.items()}
        for name in _SHARED:
            floor, ceiling = of[FLOOR][name], of[CEILING][name]
            if ceiling - floor > LEAST_RANGE:  # a coarse grid may show a box worse than the prior
                scores[f"{name}_skill"] = (scores[name] - floor) / (ceiling - floor)
            scores |= {f"{name}_of_{_word(control)}": values[name] for control, values in of.items()}
        labels = np.array(self.truth.labels)
        for label in self.findings:
            scores |= {f"{name}_{label}": float(own[name][labels == label].mean()) for name in ("pointing", "iou")}
        return scores

    def _macro(self, column: np.ndarray) -> float:
        return mean_over_labels({"label": np.array(self.truth.labels), "score": column}, "score")

    def _described(self) -> Columns:
        truth = self.truth
        return {
            "case": np.array([f"{item.id} {label}" for item, label in zip(truth.items, truth.labels, strict=True)]),
            "patient": np.array(truth.patients),
            "label": np.array(truth.labels),
            "box_share": self._masks.mean(axis=(1, 2)),
        }

    def _kept(self, maps: np.ndarray, own: Columns) -> dict[str, np.ndarray]:
        """Return the arrays that the figure is drawn from, of the first cases of each finding."""
        rows = _spread(self.truth.labels, self.findings, self.protocol.kept_maps)
        if not len(rows):
            return {}
        edges = [(place, *shares) for place, row in enumerate(rows) for shares in self._shares(int(row))]
        films = self.images(self.truth.films[rows]).cpu().numpy()[:, 0] if self.shows_films else None
        return {
            "cases": self._described()["case"][rows],
            "labels": np.array(self.truth.labels)[rows],
            **({} if films is None else {"films": films}),
            "maps": maps[rows].astype(np.float16),
            "boxes": np.array(edges, dtype=np.float32),
            "iou": own["iou"][rows],
        }

    def _shares(self, row: int) -> list[tuple[float, ...]]:
        """Return the edges of a row's boxes (left, top, right, bottom) as shares of the film."""
        height, width = self.truth.native_px[row]
        return [
            (box.left / width, box.top / height, box.right / width, box.bottom / height)
            for box in self.truth.boxes[row]
        ]


def _classifier(network: nn.Module, columns: Mapping[str, int]) -> Classifier:
    if not isinstance(network, Classifier) or network.head.out_features != len(columns):
        raise EdenError(
            f"grad-cam: was given {type(network).__name__}, expected the classifier of {len(columns)} labels that the "
            "task it looks at fine-tunes"
        )
    return network


def _layers(network: Classifier, forms: Sequence[Form] = ("last", "evax")) -> dict[Form, Layer]:
    found = {form: layer_of(network.encoder, form) for form in forms}
    return {form: layer for form, layer in found.items() if layer is not None}


def _spread(labels: Sequence[str], findings: Sequence[str], most: int) -> np.ndarray:
    """Return up to ``most`` rows, first one of each finding, then a second of each, and so on."""
    each = [np.flatnonzero(np.array(labels) == finding) for finding in findings]
    turns = [rows[turn] for turn in range(max(map(len, each))) for rows in each if turn < len(rows)]
    return np.array(turns[:most], dtype=np.int64)


def _named(others: Mapping[str, tuple[Columns, float]]) -> Columns:
    return {
        f"{name}_of_{_word(control)}": column
        for control, (columns, _) in others.items()
        for name, column in columns.items()
    }


def _evax_scores(theta: float, evax: Columns, others: Mapping[str, tuple[Columns, float]]) -> dict[str, float]:
    if not evax:
        return {}
    means = {name: float(column.mean()) for name, column in evax.items()}
    return {
        "evax_theta": theta,
        **means,
        **{f"evax_map_of_{_word(name)}": value for name, (_, value) in others.items()},
    }


def _word(control: str) -> str:
    return control.replace(" ", "_")
