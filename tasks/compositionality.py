"""Compositionality (paper, section 3.4 and Fig. 4.2): the features of a whole against those of its parts."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.part_definitions import bare, by_name, on_films, share
from tasks.probes.part_protocols import QUICK_WHOLES, WHOLES

PART_WHOLE_AUC = ScoreDefinition(
    name="part_whole_auc",
    text=(
        "Area under the ROC curve of the cosine of a whole and the mean of its parts' features, against that of the "
        "whole and the parts of two others: the square of its size at least half a side beside it, and the same "
        "place in another patient; all pairs pooled, ties counting half; features centred by the mean over training "
        "patches. Wholes are squares of 0.4 to 0.8 of the film, cut in 1×2, 2×1, 3×1 and 2×2 parts, each stretched to "
        "the encoder's size. Chance 0.5."
    ),
    statistic="auc_matched",
    alternatives=by_name(
        share("auc_shifted", "the same against the square beside it alone", "auc_matched_against"),
        share("auc_other_patient", "the same against the other patient alone", "auc_matched_against"),
        share("auc_inside", "the same of the wholes that, like the square beside them, lie inside the film", ""),
        share("auc_<layout>", "the same of one layout of parts, rows × columns", ""),
        share("top1", "share of wholes that stand first by cosine to their parts among all of their size band"),
        share("mrr", "mean of 1 / rank of the whole among all of its size band; ties count by their expectation"),
        bare("ridge_r2", "R² of a ridge from four parts to the whole, fitted on training patients", "explained_share"),
        bare("raw_cosine", "the published form, no score: mean cosine of whole and parts, not centred", low=-1.0),
        bare("raw_cosine_mismatched", "the same of the mismatched pairs, to be read beside it", low=-1.0),
        bare("calibrated_cosine", "(c - m) / (1 - m) of the two; 0 where 1 - m < 1e-6", "calibrated_cosine"),
    ),
)

for _task in on_films(
    "compositionality",
    "Compositionality: a whole and the sum of its parts",
    PART_WHOLE_AUC,
    "tasks.probes.compositionality:OpenCompositionality",
    WHOLES,
    QUICK_WHOLES,
):
    register_task(_task)
