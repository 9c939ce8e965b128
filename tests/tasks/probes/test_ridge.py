"""Ridge against scikit-learn, a plain loop over penalties and patients, and features that say nothing."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from tasks.probes import ridge


def drawn(rows, features, targets, seed=0, noise=0.1):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, features)) + 3
    y = x @ random.normal(size=(features, targets)) + noise * random.normal(size=(rows, targets)) - 7
    return x, y


@pytest.mark.parametrize("shape", [(40, 7, 3), (12, 30, 5)], ids=["more rows", "more features"])
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 250.0])
def test_a_fit_is_scikit_learns(shape, penalty):
    x, y = drawn(*shape)
    ours, theirs = ridge.fit(x, y, penalty), SklearnRidge(alpha=penalty).fit(x, y)
    new = np.random.default_rng(1).normal(size=(5, shape[1]))
    assert ours.coefficients == pytest.approx(theirs.coef_.T, rel=1e-6, abs=1e-9)
    assert ours.predict(new) == pytest.approx(theirs.predict(new), rel=1e-6)


@pytest.mark.parametrize("shape", [(30, 4, 2), (20, 40, 2)], ids=["more rows", "more features"])
def test_the_penalty_errs_least_on_held_out_patients(shape):
    x, y = drawn(*shape, noise=5.0)
    patients = [f"p{row // 2:02d}" for row in range(shape[0])]
    unit = ((x - x.mean(axis=0)) ** 2).sum()
    errors = {}
    for factor in ridge.FACTORS:
        errors[factor * unit] = 0.0
        for fold in range(5):
            held = np.array([int(name[1:]) % 5 == fold for name in patients])
            model = SklearnRidge(alpha=factor * unit).fit(x[~held], y[~held])
            errors[factor * unit] += ((y[held] - model.predict(x[held])) ** 2).sum()
    assert ridge.fit_over_patients(x, y, patients).penalty == pytest.approx(min(errors, key=errors.get))


def test_a_patient_is_held_out_whole_and_once():
    patients = ["b", "a", "c", "a", "b", "d"]
    folds = ridge.patient_folds(patients, 3)
    assert np.sum(folds, axis=0).tolist() == [1] * 6
    for fold in folds:
        inside = {name for name, held in zip(patients, fold, strict=True) if held}
        assert not inside & {name for name, held in zip(patients, fold, strict=True) if not held}


def test_features_that_do_not_vary_predict_the_mean():
    _, y = drawn(10, 3, 2)
    made = ridge.fit_over_patients(np.full((10, 3), 0.1), y, list("aabbccddee"))
    assert made.predict(np.full((4, 3), 0.1)) == pytest.approx(np.tile(y.mean(axis=0), (4, 1)), abs=1e-12)


def test_features_that_say_nothing_are_shrunk_to_the_mean():
    random = np.random.default_rng(0)
    x, y, new, wanted = (random.normal(size=(60, 20)) for _ in range(4))
    made = ridge.fit_over_patients(x, y, [str(row // 3) for row in range(60)])
    share = ((wanted - made.predict(new)) ** 2).sum() / ((wanted - y.mean(axis=0)) ** 2).sum()
    assert share == pytest.approx(1.0, abs=0.02)


def test_one_patient_is_refused():
    with pytest.raises(ValueError, match="1 training patients, expected at least 2"):
        ridge.fit_over_patients(np.eye(3), np.eye(3), ["a"] * 3)
