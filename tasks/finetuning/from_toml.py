"""A task from a TOML file, without Python (docs/tasks.md): a segmentation by masks, or a classification by a table."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eden_bench import registry
from eden_bench.contracts import DatasetCard, in_range, with_overrides
from eden_bench.contracts.members import check_object
from eden_bench.errors import PluginError, UsageError, nearest
from eden_bench.files import plain_text
from tasks.finetuning.definitions import DICE, IOU, IOU_THRESHOLDS, ClassificationTask, SegmentationTask
from tasks.finetuning.protocol import (
    PAPER_CLASSIFICATION,
    PAPER_SEGMENTATION,
    QUICK_CLASSIFICATION,
    QUICK_SEGMENTATION,
)
from tasks.reading.folder import FolderDataset, Masks
from tasks.reading.label_table import LabelTable

_SCORES = {score.name: score for score in (DICE, IOU, IOU_THRESHOLDS)}
_MODALITIES = ("chest-x-ray", "fundus")
_NEEDED = ("name", "images", "modality", "licence")
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "title": str,
    "images": str,
    "masks": (str, dict),
    "labels": str,
    "label_columns": list,
    "image_column": str,
    "patient_column": str,
    "split_column": str,
    "subfolders": bool,
    "leave_out_damaged": bool,
    "window": list,
    "mask_suffix": str,
    "mask_value": int,
    "modality": str,
    "channels": int,
    "side_mm": float,
    "bits": int,
    "licence": str,
    "shareable": bool,
    "citation": str,
    "source": str,
    "patient": str,
    "test_share": float,
    "lists": str,
    "folds": int,
    "score": str,
    "paper": dict,
    "quick": dict,
}
_WORDS = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "a list",
    (str, dict): "text or a table",
}
_OF_LABELS = ("label_columns", "image_column", "patient_column", "split_column")
_OF_MASKS = ("mask_suffix", "mask_value", "side_mm", "score", "folds")
_MASK_KEYS = {"folder": str, "suffix": str, "value": int}


def load(path: Path) -> None:
    """Register the dataset and the task that a TOML file describes.

    Raises:
        PluginError: it cannot be read, lacks a key, or has one or a value that means nothing; names the nearest.
    """
    try:
        content = tomllib.loads(plain_text.read(path))
    except (OSError, ValueError, RecursionError) as error:
        raise PluginError(f"--plugin {path}: {error}") from error
    try:
        _check(content)
        made = [(_dataset(each, path.absolute().parent), _task(each)) for each in _folds(content)]
    except (UsageError, ValueError, re.error) as error:
        raise PluginError(f"--plugin {path}: {error}") from error
    for dataset, task in made:
        check_object("dataset", dataset.name, dataset)
        registry.datasets.register(dataset.name, dataset, str(path.absolute()))
        registry.tasks.register(task.name, task, str(path.absolute()))


def _folds(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the description of each task: the content, or one NAME-foldI a fold."""
    if "folds" not in content:
        return [content]
    name, count = content["name"], content["folds"]
    masks = content["masks"] if isinstance(content["masks"], dict) else {name: content["masks"]}
    fold = {"masks": masks, "title": content.get("title", name)}
    return [
        {**content, **fold, "name": f"{name}-fold{number}", "fold": (name, number, count)}
        for number in range(1, count + 1)
    ]


def _check(content: Mapping[str, Any]) -> None:
    _check_types(content, _KEYS)
    missing = [key for key in _NEEDED if not content.get(key)]
    if missing:
        raise ValueError(f"{missing[0]!r} is missing, expected {', '.join(_NEEDED[:-1])} and {_NEEDED[-1]}")
    _check_target(content)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", content["name"]):
        raise ValueError(f"name must be of small letters, digits and hyphens, not {content['name']!r}")
    for key, known in (("modality", _MODALITIES), ("score", tuple(_SCORES))):
        if content.get(key, known[0]) not in known:
            raise ValueError(f"{key} must be {' or '.join(known)}, not {content[key]!r}")
    if content.get("channels", 1) not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {content['channels']}")
    in_range("bits", content.get("bits", 16), 8, 16)
    _check_split(content)


def _check_target(content: Mapping[str, Any]) -> None:
    """Validate that there are masks or labels, and no key of the other kind."""
    if bool(content.get("masks")) == bool(content.get("labels")):
        raise ValueError("expected 'masks' (a segmentation) or 'labels' (a classification), and not both")
    for key in _OF_MASKS if "labels" in content else _OF_LABELS:
        if key in content:
            raise ValueError(f"{key} belongs to {'masks' if 'labels' in content else 'labels'}: remove it")
    if not all(isinstance(column, str) and column for column in content.get("label_columns", [])):
        raise ValueError(f"label_columns must be names of columns, not {content['label_columns']!r}")
    window = content.get("window", [0.5, 1])
    if not (
        len(window) == 2
        and all(type(v) in (int, float) for v in window)
        and math.isfinite(sum(window))
        and window[1] > 0
    ):
        raise ValueError(f"window must be [centre, width] with a width above 0, not {window!r}")
    if "split_column" in content and (other := content.keys() & {"lists", "test_share"}):
        raise ValueError(f"split_column and {min(other)} exclude each other: keep one of them")


def _check_split(content: Mapping[str, Any]) -> None:
    if "lists" in content and "test_share" in content:
        raise ValueError("lists and test_share exclude each other: keep one of them")
    if "folds" in content:
        if content.keys() & {"lists", "test_share"}:
            raise ValueError("folds excludes lists and test_share: keep one of them")
        in_range("folds", content["folds"], 2, 20)
    in_range("test_share", content.get("test_share", 0.2), 0.01, 0.99)


def _check_types(content: Mapping[str, Any], keys: Mapping[str, Any], where: str = "") -> None:
    for key, value in content.items():
        if key not in keys:
            raise ValueError(f"unknown key {where}{key!r}.{nearest(key, keys)} Known: {', '.join(keys)}.")
        expected = (int, float) if keys[key] is float else keys[key]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise ValueError(f"{where}{key} must be {_WORDS[keys[key]]}, not {value!r}")


def _dataset(content: Mapping[str, Any], root: Path) -> FolderDataset:
    name, title = content["name"], content.get("title", content["name"])
    card = DatasetCard(
        title=title,
        modality=content["modality"],
        citation=content.get("citation", ""),
        licence=content["licence"],
        source=content.get("source", f"the user's own folder {root}"),
        folders=(name,),
        expected_images=0,
        shareable=content.get("shareable", False),
    )
    return FolderDataset(
        name=name,
        card=card,
        root=root,
        images=root / content["images"],
        masks=_masks(content, root) if "masks" in content else {},
        labels=_labels(content, root) if "labels" in content else None,
        patient=re.compile(content["patient"]) if "patient" in content else None,
        test_share=content.get("test_share", 0.2),
        lists=root / content["lists"] if "lists" in content else None,
        fold=content.get("fold"),
        channels=_channels(content),
        bits=content.get("bits"),
        window=(float(content["window"][0]), float(content["window"][1])) if "window" in content else None,
        subfolders=content.get("subfolders", False),
        leave_out_damaged=content.get("leave_out_damaged", False),
    )


def _labels(content: Mapping[str, Any], root: Path) -> LabelTable:
    return LabelTable(
        file=root / content["labels"],
        columns=tuple(content.get("label_columns", ())),
        image=content.get("image_column", ""),
        patient=content.get("patient_column", ""),
        split=content.get("split_column", ""),
    )


def _masks(content: Mapping[str, Any], root: Path) -> dict[str, Masks]:
    """Parse the masks of each structure: one folder is one structure of the task's name, a table has several."""
    told = content["masks"] if isinstance(content["masks"], dict) else {content["name"]: content["masks"]}
    found = {}
    for structure, where in told.items():
        _check_types({structure: where}, {structure: (str, dict)}, "masks.")
        more: dict[str, Any] = {"folder": where} if isinstance(where, str) else where
        _check_types(more, _MASK_KEYS, f"masks.{structure}.")
        if "folder" not in more:
            raise ValueError(f"masks.{structure} has no folder, expected one")
        suffix, value = more.get("suffix", content.get("mask_suffix", "")), more.get("value", content.get("mask_value"))
        found[structure] = Masks(root / more["folder"], suffix, value)
    return found


def _task(content: Mapping[str, Any]) -> SegmentationTask | ClassificationTask:
    if "labels" in content:
        return ClassificationTask(
            name=content["name"],
            dataset=content["name"],
            title=content.get("title", content["name"]),
            channels=_channels(content),
            paper=with_overrides(PAPER_CLASSIFICATION, content.get("paper", {}), "[paper]"),
            quick=with_overrides(QUICK_CLASSIFICATION, content.get("quick", {}), "[quick]"),
        )
    return SegmentationTask(
        name=content["name"],
        dataset=content["name"],
        title=content.get("title", content["name"]),
        structures=tuple(_masks(content, Path())),
        channels=_channels(content),
        side_mm=content.get("side_mm"),
        paper=with_overrides(PAPER_SEGMENTATION, content.get("paper", {}), "[paper]"),
        quick=with_overrides(QUICK_SEGMENTATION, content.get("quick", {}), "[quick]"),
        score=_SCORES[content.get("score", "dice")],
    )


def _channels(content: Mapping[str, Any]) -> Any:  # noqa: ANN401 - 1 or 3
    return content.get("channels", 3 if content["modality"] == "fundus" else 1)
