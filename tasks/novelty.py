"""Novelty: films with a finding told from films without one, by their distance to training films without one."""

from __future__ import annotations

from eden_bench.contracts import Features, ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.novelty_protocol import NoveltyProtocol
from tasks.probes.part_definitions import by_name, share

NOVELTY = ScoreDefinition(
    name="novelty",
    text=(
        "AUROC of test films with any finding against those with none, a film's score being its mean cosine distance "
        "to its 5 nearest among training films without a finding: features of whole films, centred and whitened on "
        "these films (Ledoit-Wolf covariance). No film with a finding is learnt from. Chance 0.5; ties count half."
    ),
    statistic="auc_of_column",
    alternatives=by_name(
        share("novelty_raw", "the same with features neither centred nor whitened", "auc_of_column"),
        share("novelty_centred", "the same with features centred and not whitened", "auc_of_column"),
        share("average_precision", "average precision of the same ranking; chance is the share with a finding", ""),
        share("macro", "mean over the findings of auc_<finding>", ""),
        share(
            "novelty_patches",
            "AUROC of test films by the mean of their 1 % most novel patches (at least one), a patch's novelty being "
            "its mean cosine distance to the 5 nearest patches of training films without a finding whose place is at "
            "most 10 % of the film's side away; features whitened on the bank's patches; the first films alone",
            "",
        ),
        share(
            "patches_in_boxes",
            "AUROC of patches whose centre lies in a finding's box against other patches of boxed films, by novelty",
            "",
        ),
        share(
            "patches_pointing",
            "share of boxed films whose most novel patch lies in a box; patches that tie count alike",
            "",
        ),
        share("pointing_chance", "share of patches of boxed films that lie in a box: patches_pointing by chance", ""),
        ScoreDefinition(
            name="nuisance",
            text=(
                "AUROC of ordinary test films turned, scaled and brightened against the same films as they are, by the "
                "primary score's distance: what is no finding, and should be told worse than findings are; chance 0.5"
            ),
            statistic="",
            higher_is_better=False,
        ),
        share("auc_<finding>", "AUROC of test films with one finding against those with none at all", ""),
    ),
)

PAPER = NoveltyProtocol(film_px=512, train_films=4000, test_films=5000)
QUICK = NoveltyProtocol(features=Features(size_px=64), film_px=256, train_films=200, test_films=200, patch_films=60)

register_task(
    ProbeTask(
        name="novelty",
        dataset="chestxray14",
        title="Novelty: films with a finding, by a bank of films without",
        score=NOVELTY,
        opens="tasks.probes.novelty:OpenNovelty",
        paper=PAPER,
        quick=QUICK,
    )
)
