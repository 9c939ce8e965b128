"""Formulas of a report by id: what each number of its JSON is, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

FORMULAS: Mapping[str, str] = {
    "score": "Primary score of one cell, as its definition says.",
    "mean": "Arithmetic mean of the row's units: the scores of its seeds, or the means of its pretrainings.",
    "sd": "Standard deviation of the row's units, ddof 1.",
    "sd-within": "Standard deviation over fine-tuning seeds within a pretraining, pooled, ddof 1.",
    "t-interval": "95 % interval of the mean by Student's t, n - 1 degrees of freedom.",
    "mean-of-cells": "Arithmetic mean over the row's cells.",
    "pooled-t": "Independent two-sample t-test with pooled variance, two-sided: the paper's.",
    "welch-t": "Independent two-sample t-test with a variance each (Welch), two-sided.",
    "paired-t": "Paired t-test over shared seeds, two-sided.",
    "sign-flip": "Sign-flip test of the differences over shared seeds, two-sided.",
    "pearson": "Pearson's correlation of the two rows' scores over shared seeds.",
    "difference": "Mean of the first row minus mean of the second.",
    "hierarchical-interval": "95 % interval of the difference by Student's t, its variance over pretrainings, seeds "
    "and patients estimated by components.",
    "hierarchical-test": "Two-sided p of the difference by Student's t on that variance, Satterthwaite's degrees.",
    "holm": "p of the far tail (Cochran's weighted quantiles), by Holm over the family that the report states.",
    "benjamini-hochberg": "The same p, by Benjamini and Hochberg over all pairs of the report.",
    "tost": "Larger p of the two one-sided tests against the equivalence margin.",
    "margin": "Equivalence margin of the score, set beforehand.",
    "hedges-g": "Hedges' g, the difference in pooled standard deviations, with its 95 % interval.",
    "cliffs-delta": "Cliff's delta.",
    "probability-better": "Chance that a seed of the first row scores better than one of the second, ties half.",
    "signed-rank-rope": "Posterior of better, equal within the margin, worse, by the Bayesian signed-rank test.",
    "power": "What is detected, or needed, at a power of 80 % and the level of the family's first step by Holm.",
    "best-of-all": "95 % interval of the row's mean minus the best other's, for all rows together.",
    "patient-bootstrap": "95 % percentile interval over resampled patients, mean over seeds.",
    "skill": "(score - chance) / (oracle - chance).",
    "paired-patient-bootstrap": "Difference to the practical floor over the same resampled patients: 95 % interval, p.",
    "iqm": "Interquartile mean of the normalised scores, interval by a bootstrap stratified by table.",
    "median": "Median of the normalised scores over tables, interval by the stratified bootstrap.",
    "normalised-mean": "Mean of the normalised scores, interval by the stratified bootstrap.",
    "optimality-gap": "Mean shortfall of runs from the target of 0.9, 0 above it; interval as that of the mean.",
    "performance-profile": "Share of runs above a threshold, with its 95 % band.",
    "friedman": "Friedman's chi-squared over tables as blocks, and p.",
    "iman-davenport": "Iman and Davenport's F, and p.",
    "mean-rank": "Mean rank over tables, 1 the best, ties shared.",
    "rank-interval": "Ranks by mean over these tables that the method may have, 95 % for all methods together.",
    "wilcoxon-holm": "Wilcoxon's signed-rank p over tables, by Holm over all pairs.",
    "nemenyi": "Nemenyi's critical difference of mean ranks at 0.05.",
    "improvement": "Chance that a run of the first scores better than one of the second, ties half, mean over tables.",
    "separation": "p of the difference of two methods' means over these tables, by Holm over all pairs.",
    "kendall": "Kendall's tau of the order by mean rank with that of resampled runs.",
}
"""What ``formula`` names beside each number of report.json."""
