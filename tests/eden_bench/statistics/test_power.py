"""Power agrees with statsmodels, and with studies that are simulated."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from eden_bench.statistics.power import (
    ENDLESS,
    Components,
    Counts,
    Design,
    detectable,
    detectable_effect,
    needed,
    t_power,
)


def power_by_quadrature(difference, error, df, level):
    """Average P(|Z + δ| > t·s) over the s.d. s that a study finds: the definition, without any noncentral t."""
    critical = scipy.stats.t.isf(level / 2, df)

    def at(s):
        tails = scipy.stats.norm.sf(critical * s - difference / error) + scipy.stats.norm.cdf(
            -critical * s - difference / error
        )
        return tails * scipy.stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df)

    return scipy.integrate.quad(at, 0, 10, points=[0.5, 1, 2], epsabs=1e-12, limit=200)[0]


@pytest.mark.parametrize("level", [0.05, 0.05 / 9, 0.05 / 90])
@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("paired", [False, True])
def test_the_detectable_effect_is_found_in_80_of_100_studies(n, level, paired):
    found = detectable_effect(n, level=level, paired=paired)
    error, df = (np.sqrt(1 / n), n - 1) if paired else (np.sqrt(2 / n), 2 * n - 2)
    assert power_by_quadrature(found, error, df, level) == pytest.approx(0.8, abs=1e-8)


@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_detectable_effect_agrees_with_statsmodels(n):
    # its solver stops at about 1e-6, and goes astray at small levels, where its noncentral t is NaN
    independent = TTestIndPower().solve_power(nobs1=n, alpha=0.05, power=0.8)
    assert detectable_effect(n) == pytest.approx(independent, abs=1e-6)
    paired = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert detectable_effect(n, paired=True) == pytest.approx(paired, abs=1e-6)


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.0])
def test_the_power_agrees_with_statsmodels(effect):
    assert t_power(effect, np.sqrt(2 / 10), 18) == pytest.approx(TTestIndPower().power(effect, 10, 0.05), abs=1e-9)


def test_the_power_of_no_difference_is_the_level():
    assert t_power(0.0, 1.0, 7, level=0.03) == pytest.approx(0.03)


@pytest.mark.parametrize(("effect", "seeds"), [(1.0, 17), (0.8, 26), (0.5, 64)])
def test_the_seeds_needed_are_those_of_the_textbook(effect, seeds):
    found = needed(effect, Components(seed=2.0), Counts(seeds=10), Design())
    assert (found.seeds, found.pretrainings, found.patients) == (seeds, None, None)


def test_one_more_than_needed_less_one_is_just_enough():
    components, counts = (
        Components(pretraining=1e-4, seed=4e-5, patient=1e-3, residual=1e-3),
        Counts(pretrainings=3, seeds=5, patients=100),
    )
    design = Design(scope="methods")
    enough = needed(0.02, components, counts, design)
    for level in ("seeds", "pretrainings", "patients"):
        n = getattr(enough, level)
        if n is not None:
            at, below = (detectable(components, Counts(**{**vars(counts), level: k}), design) for k in (n, n - 1))
            assert at <= 0.02
            assert below is None or below > 0.02
    assert enough.pretrainings is not None


def test_no_number_of_seeds_makes_up_for_the_patients():
    components = Components(seed=2e-6, patient=4e-4)
    found = needed(0.005, components, Counts(seeds=10, patients=50), Design())
    assert found.seeds is None
    # the patients alone: z = 1.96 + 0.84, (2.8·0.02/0.005)² = 125, a few more for t and the seeds
    assert 125 < found.patients < 145


def test_nothing_settles_a_difference_of_zero():
    found = needed(0.0, Components(seed=1.0, patient=1.0), Counts(seeds=10, patients=10), Design())
    assert (found.seeds, found.patients) == (None, None)


def test_one_pretraining_says_nothing_of_methods():
    components, one = Components(pretraining=1.0, seed=1.0), Counts(pretrainings=1, seeds=10)
    assert detectable(components, one, Design(scope="methods")) is None
    found = needed(3.0, components, one, Design(scope="methods"))
    assert found.seeds is None
    assert found.pretrainings > 1


def test_what_does_not_vary_has_no_detectable_difference():
    assert detectable(Components(), Counts(seeds=10), Design()) is None


def test_nested_pretrainings_are_found_as_often_as_promised():
    """Two methods, 4 pretrainings each, 5 seeds each: the t-test of the pretrainings' means."""
    components = Components(pretraining=2 * 0.01**2, seed=2 * 0.02**2)
    shift = detectable(components, Counts(pretrainings=4, seeds=5), Design(scope="methods"))
    rng = np.random.default_rng(0)
    means = rng.normal(0, 0.01, (4000, 2, 4)) + rng.normal(0, 0.02, (4000, 2, 4, 5)).mean(axis=3)
    p = scipy.stats.ttest_ind(means[:, 0] + shift, means[:, 1], axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.03)


def test_seeds_and_patients_together_are_found_as_often_as_promised():
    """Paired seeds crossed with patients: variance of the mean from the two-way table, df by Satterthwaite."""
    seeds, patients, studies = 6, 25, 3000
    components = Components(seed=0.01**2, patient=0.03**2, residual=0.02**2)
    design = Design(paired=True)
    shift = detectable(components, Counts(seeds=seeds, patients=patients), design)
    rng = np.random.default_rng(0)
    table = shift + rng.normal(0, 0.02, (studies, seeds, patients))
    table += rng.normal(0, 0.01, (studies, seeds, 1)) + rng.normal(0, 0.03, (studies, 1, patients))
    runs, people = table.mean(axis=2).var(axis=1, ddof=1) / seeds, table.mean(axis=1).var(axis=1, ddof=1) / patients
    rest = table - table.mean(axis=2, keepdims=True) - table.mean(axis=1, keepdims=True)
    noise = rest.var(axis=(1, 2)) / ((seeds - 1) * (patients - 1))
    people = np.maximum(people - noise, 0)
    df = (runs + people) ** 2 / (runs**2 / (seeds - 1) + people**2 / (patients - 1))
    p = 2 * scipy.stats.t.sf(np.abs(table.mean(axis=(1, 2))) / np.sqrt(runs + people), df)
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.03)


def test_patients_alone_are_a_paired_test_of_patients():
    found = detectable(Components(patient=1.0), Counts(seeds=2, patients=12), Design())
    assert found == pytest.approx(detectable_effect(12, paired=True))


def test_endless_numbers_leave_the_other_levels_alone():
    components = Components(seed=1e-4, patient=1e-3)
    found = detectable(components, Counts(seeds=ENDLESS, patients=30), Design())
    assert found == pytest.approx(
        detectable(Components(patient=1e-3), Counts(seeds=2, patients=30), Design()), rel=1e-6
    )


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_variance_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="variance component seed must be"):
        Components(seed=bad)


def test_a_count_of_none_is_refused():
    with pytest.raises(ValueError, match="seeds must be at least 1, not 0"):
        Counts(seeds=0)
