"""Grad-CAM of a fine-tuned classifier against the boxed findings of ChestX-ray14 (Selvaraju et al., ICCV 2017).

The network is the one that task ``chestxray14`` fine-tuned; its class activation maps are compared with the boxes of
Wang et al. (CVPR 2017), each finding by itself, and beside them stand maps that look at nothing. EVA-X's own form of
the evaluation (Yao et al., 2024, arXiv:2405.05237), whose threshold is chosen on the boxes that are scored, stands
beside it under names that begin with "evax", so that its table can be read next to ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from eden_bench.contracts import Context, DatasetIndex, OpenTask, ScoreDefinition, Task, at_least
from eden_bench.errors import unknown
from eden_bench.registry import register_task

_MAP = (
    "the map at size_px × size_px of the protocol (bilinear, then scaled to [0, 1]; constant maps become 0), the box "
    "as the pixels whose centres it holds"
)
_MACRO = "mean over the boxes of each finding, then over findings"
_ANY = {"unit": "", "bounds": (None, None)}
_COUNT = {"unit": "", "bounds": (0.0, None)}


def _of_boxes(text: str, **other: object) -> ScoreDefinition:
    """Define a mean over findings of the cases' column of its own name."""
    return ScoreDefinition(name="", text=f"{text}; {_MACRO}", statistic="mean_over_labels", **other)  # type: ignore[arg-type]


def _evax(text: str) -> ScoreDefinition:
    """Define a mean over all boxes together, whatever their finding."""
    return ScoreDefinition(name="", text=f"EVA-X's own form: {text}; mean over boxes")


_IOU = "IoU of {map > θ} with the box, θ the best by the same score on the other patients (folds of the protocol)"
_LOCALISED = "share of boxes with an IoU, at the θ chosen on other patients, above"
_REGIONS = (
    "regions are boxes around what is connected in {map > 60/255} and in {map > 180/255}, and the IoBB of one is the "
    "share of it that lies in the finding's box"
)
_ALTERNATIVES: Mapping[str, str | ScoreDefinition] = {
    "iou": _of_boxes(_IOU),
    "localised_10": _of_boxes(f"{_LOCALISED} 0.1"),
    "localised_25": _of_boxes(f"{_LOCALISED} 0.25"),
    "localised_50": _of_boxes(f"{_LOCALISED} 0.5"),
    "energy": _of_boxes("share of the map's sum that lies in the box, 0 for a map of zeros"),
    "empty": _of_boxes(
        "share of maps that are 0 everywhere, as where no position speaks for the finding", higher_is_better=False
    ),
    "area_ratio": _of_boxes("pixels of {map > θ} over those of the box, θ as for IoU", **_COUNT),
    "iobb_<percent>": _of_boxes(f"share of boxes with a region whose IoBB is above T ({_REGIONS})"),
    "afp_<percent>": _of_boxes(
        f"false positives: regions a box whose IoBB is T or less ({_REGIONS})", higher_is_better=False, **_COUNT
    ),
    "pointing_skill": ScoreDefinition(
        name="",
        text="(x - class prior) / (grid oracle - class prior) of the primary score; absent where the two "
        "are not 0.05 apart, as where the grid cannot show the box better than the prior does",
        statistic="",
        **_ANY,  # type: ignore[arg-type]
    ),
    "iou_skill": ScoreDefinition(name="", text="the same of iou", statistic="", **_ANY),  # type: ignore[arg-type]
    "energy_skill": ScoreDefinition(name="", text="the same of energy", statistic="", **_ANY),  # type: ignore[arg-type]
    "pointing_of_<control>": _of_boxes("the primary score of a control"),
    "iou_of_<control>": _of_boxes("iou of a control, its θ chosen in the same way"),
    "energy_of_<control>": _of_boxes("energy of a control"),
    "pointing_<finding>": "the primary score of one finding, mean over its boxes",
    "iou_<finding>": "iou of one finding, mean over its boxes",
    "evax_theta": ScoreDefinition(
        name="",
        text="EVA-X's own form: the θ among 0.01, 0.02 … 0.60 whose evax_map is best on the boxes that are scored",
        statistic="",
        unit="",
    ),
    "evax_map_of_<control>": "evax_map of a control, θ searched in the same way",
    "evax_miou": _evax("IoU at evax_theta, box corners truncated to whole pixels at 1024 px and at size_px"),
    "evax_ap25": _evax("whether that IoU is above 0.25 (a localisation accuracy that its authors call AP25)"),
    "evax_ap50": _evax("whether that IoU is above 0.5 (AP50)"),
    "evax_map": _evax("half of both (its authors' mAP)"),
}
POINTING = ScoreDefinition(
    name="pointing",
    text=(
        f"Pointing hit: whether the peak of the finding's map lies in its box ({_MAP}), the share of the peak's pixels "
        f"that do where it is a tie, so that a map of zeros scores the box's share of the film; {_MACRO}."
    ),
    statistic="mean_over_labels",
    alternatives=_ALTERNATIVES,
)


@dataclass(frozen=True, kw_only=True)
class GradCamProtocol:
    """How maps are compared with boxes; how the network's input is made is the fine-tuning's matter."""

    size_px: int = 224
    """Side at which films are kept and maps and boxes are compared; the network sees films of its own size."""
    folds: int = 5
    """Parts that patients are dealt into; θ is chosen on all but a patient's own."""
    batch_size: int = 32
    """Boxes a forward pass; a memory matter only."""
    kept_maps: int = 24
    """Cases whose film and map are stored for figures, as many of each finding as of any other."""

    def __post_init__(self) -> None:
        """Refuse values no run can mean. Raises ValueError naming the value."""
        at_least("size_px", self.size_px, 16)
        at_least("folds", self.folds, 2)
        at_least("batch_size", self.batch_size, 1)
        at_least("kept_maps", self.kept_maps, 0)


@dataclass(frozen=True, kw_only=True)
class GradCamTask(Task):
    """Localise boxed findings by Grad-CAM of the network that another task fine-tuned."""

    name: str
    dataset: str
    title: str
    looks_at: str  # type: ignore[misc]  # a field here, as tasks are data
    kind: Literal["probe"] = "probe"
    score: ScoreDefinition = POINTING
    groups: tuple[str, ...] = ("probes",)

    def protocol(self, name: str) -> GradCamProtocol:
        """Return the protocol "paper" or "quick", which are the same.

        Raises:
            UsageError: the task has no protocol of that name.
        """
        if name not in ("paper", "quick"):
            raise unknown(f"protocol of {self.name}", name, ("paper", "quick"))
        return GradCamProtocol()

    def open(self, index: DatasetIndex, protocol: GradCamProtocol, context: Context) -> OpenTask:
        """Decode the test films that have boxes (or map them from the cache).

        Raises:
            DataMissing: no test film has a box, or all are of one patient.
        """
        from tasks.gradcam.opened import OpenGradCam

        return OpenGradCam(self, index, protocol, context)


grad_cam_task = register_task(
    GradCamTask(
        name="grad-cam",
        dataset="chestxray14",
        title="Grad-CAM localisation of ChestX-ray14's boxed findings",
        looks_at="chestxray14",
    )
)
