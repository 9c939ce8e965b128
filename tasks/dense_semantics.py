"""Dense semantics: organs of whole films, from the labels of one or five films or from none."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.protocol import DENSE, QUICK_DENSE

_IOU = "mean IoU over lungs, heart and clavicles"


def _also(name: str, text: str) -> ScoreDefinition:
    return ScoreDefinition(name=name, text=text)


MIOU = ScoreDefinition(
    name="miou_5",
    text=(
        "IoU of a test film's lungs, heart and clavicles, mean over structures, draws and films, where each position "
        "of the encoder's map takes the vote of its 5 nearest positions in 5 labelled training films, by cosine of "
        "features centred by the mean over training films' positions. A position of a labelled film shows a structure "
        "where at least half of its pixels do; votes are enlarged to the film bilinearly and cut at a half; positions "
        "that tie vote by their chance."
    ),
    alternatives={
        each.name: each
        for each in (
            _also("miou_5_raw", "the same with features that are not centred"),
            _also("miou_1", "the same from 1 labelled film"),
            _also("iou_<structure>", "of one structure, from 5 labelled films"),
            _also("floor_5", f"{_IOU} of copying the labels of the same 5 films at the same place"),
            _also("floor_1", f"{_IOU} of copying the labels of the same film at the same place"),
            _also("floor_iou_<structure>", "of one structure, copied from 5 films"),
            _also("ceiling", f"{_IOU} of the film's own labels at the positions, enlarged as votes are"),
            _also("ceiling_iou_<structure>", "of one structure, from the film's own labels"),
            _also(
                "clusters_6",
                f"{_IOU} of k-means clusters of training films' positions, each of the structures that at least half "
                "of its positions show; k = 6",
            ),
            _also("clusters_12", "the same, k = 12"),
            _also("clusters_6_places", "clusters_6 of the positions' x and y instead of their features"),
            _also("clusters_12_places", "clusters_12 of the positions' x and y instead of their features"),
        )
    },
)

register_task(
    ProbeTask(
        name="dense-semantics",
        dataset="scr",
        title="Dense semantics: organs from the labels of a few films",
        score=MIOU,
        opens="tasks.probes.dense_semantics:OpenDenseSemantics",
        paper=DENSE,
        quick=QUICK_DENSE,
    )
)
