"""What a study of this size could have found of two rows, and how much more would settle the difference seen."""

from __future__ import annotations

from eden_bench.report.cases.patient_scores import PatientScores
from eden_bench.report.findings import Power, Scope
from eden_bench.statistics.hierarchy import ENOUGH_PRETRAININGS, PATIENTS, PRETRAININGS, SEEDS, explained
from eden_bench.statistics.power import ENDLESS, Components, Counts, Design, detectable, needed
from eden_bench.statistics.t_tests import LEVEL


def power(first: PatientScores, second: PatientScores, gap: float, tests: int) -> Power:
    """Estimate the detectable difference, and the seeds, pretrainings or patients that would decide the one seen.

    The scope is the methods where both rows have enough pretrainings, else the checkpoints.

    Args:
        first: of one row.
        second: of the other, over the same patients.
        gap: difference seen.
        tests: size of the family: the level is that of Holm's first step.
    """
    asked = min(len(each.by_pretraining) for each in (first, second)) >= ENOUGH_PRETRAININGS
    scope: Scope = "methods" if asked else "checkpoints"
    shared = first.seeds == second.seeds and not (asked and (first.drawn or second.drawn))
    both = [each.of_methods if asked else each.of_checkpoints for each in (first, second)]
    share = {axes: float(v[0]) for axes, v in explained(*both, shared_seeds=shared).items()}
    pretrainings, seeds, patients = (min(each.values.shape[axis] for each in both) for axis in (-3, -2, -1))
    counts = Counts(
        pretrainings=pretrainings if asked else 1, seeds=seeds, patients=patients if patients > 1 else ENDLESS
    )
    components = _components(share, counts)
    design = Design(scope=scope, paired=shared and not asked, level=LEVEL / max(1, tests))
    found = needed(gap, components, counts, design) if gap else None
    return Power(
        detectable=detectable(components, counts, design),
        seeds=found.seeds if found else None,
        pretrainings=found.pretrainings if found else None,
        patients=found.patients if found and patients > 1 else None,
        note=f"for {'the methods' if asked else 'these checkpoints'}, at level 0.05 / {tests}",
    )


def _components(share: dict[tuple[int, ...], float], counts: Counts) -> Components:
    """Solve for the variances of one pretraining, seed, patient and cell, none below 0.

    V(A) is what the axes A explain of the mean: the residual has a share in every V, the seeds in that of pretrainings.
    """

    def of(*axes: int) -> float:
        return share.get(axes, 0.0)

    cells = of(PRETRAININGS, SEEDS, PATIENTS) or of(PRETRAININGS, PATIENTS) or of(SEEDS, PATIENTS)
    of_seeds = of(PRETRAININGS, SEEDS) if (PRETRAININGS,) in share else of(SEEDS)
    size = counts.pretrainings * counts.seeds
    return Components(
        pretraining=max(0.0, of(PRETRAININGS) - (of_seeds or cells)) * counts.pretrainings,
        seed=max(0.0, of_seeds - cells) * size if of_seeds else 0.0,
        patient=max(0.0, of(PATIENTS) - (of(PRETRAININGS, PATIENTS) or of(SEEDS, PATIENTS))) * counts.patients,
        residual=cells * size * counts.patients if counts.patients < ENDLESS else 0.0,
    )
