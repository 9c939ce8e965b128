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
        share("auc_<finding>", "AUROC of test films with one finding against those with none at all", ""),
    ),
)

PAPER = NoveltyProtocol(film_px=224, train_films=4000, test_films=5000)

register_task(
    ProbeTask(
        name="novelty",
        dataset="chestxray14",
        title="Novelty: films with a finding, by a bank of films without",
        score=NOVELTY,
        opens="tasks.probes.novelty:OpenNovelty",
        paper=PAPER,
        quick=NoveltyProtocol(features=Features(size_px=64), film_px=64, train_films=200, test_films=200),
    )
)
