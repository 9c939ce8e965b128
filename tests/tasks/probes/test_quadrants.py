"""Quadrants told from wholes by plain loops; codes that hold them at 1, a constant and a permuted one at chance."""

import numpy as np
import pytest

from tasks.probes import codes, quadrants
from tests.tasks.probes.test_part_whole import SIDE, coded, mean_of


def split(whole, parts):
    """Rows of the first half of the films to fit on, with their patients, and those of the others."""
    rows = np.arange(whole.shape[0]).repeat(whole.shape[1] * 2)
    whole, parts = whole.reshape(-1, whole.shape[-1]), parts.reshape(-1, 4, parts.shape[-1])
    first = rows < rows.max() / 2
    return (whole[first], parts[first], [str(row) for row in rows[first]]), (whole[~first], parts[~first])


def columns_of(whole, parts, boxes=None):
    train, test = split(whole, parts)
    predicted, error, total = quadrants.squared_errors(quadrants.fit_quadrants(*train), *test)
    columns = {f"error_{q}": error[:, i] for i, q in enumerate(quadrants.QUADRANTS)}
    columns |= {f"total_{q}": total[:, i] for i, q in enumerate(quadrants.QUADRANTS)}
    mean = mean_of(train[0], train[1]) if train[0].shape[-1] == train[1].shape[-1] else train[1].mean(axis=(0, 1))
    columns["own"] = quadrants.among_own(predicted, test[1], mean)
    columns["others"] = quadrants.among_others(predicted, test[1], mean, 0)
    return columns


def test_r2_is_the_mean_over_quadrants_of_one_minus_error_over_spread():
    columns = {f"error_{q}": np.array([1.0, i]) for i, q in enumerate(quadrants.QUADRANTS)}
    columns |= {f"total_{q}": np.array([4.0, 4.0]) for q in quadrants.QUADRANTS}
    columns |= {f"box_error_{q}": np.array([8.0, 0.0]) for q in quadrants.QUADRANTS}
    wanted = sum(1 - (1 + i) / 8 for i in range(4)) / 4
    assert quadrants.quadrants_r2(columns, "") == pytest.approx(wanted)
    assert quadrants.box_r2(columns, "") == 0
    assert quadrants.r2_beyond_box(columns, "") == pytest.approx(wanted)


def test_errors_and_spread_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    whole, parts = random.normal(size=(20, 3)), random.normal(size=(20, 4, 5))
    ridge = quadrants.fit_quadrants(whole, parts, [str(i // 2) for i in range(20)])
    predicted, error, total = quadrants.squared_errors(ridge, whole, parts)
    for row in range(20):
        for i in range(4):
            told = (whole[row] - whole.mean(axis=0)) @ ridge.coefficients[:, 5 * i : 5 * i + 5] + parts[:, i].mean(0)
            assert predicted[row, i] == pytest.approx(told)
            assert error[row, i] == pytest.approx(((parts[row, i] - told) ** 2).sum())
            assert total[row, i] == pytest.approx(((parts[row, i] - parts[:, i].mean(axis=0)) ** 2).sum())


def test_retrieval_is_that_of_a_plain_loop():
    random = np.random.default_rng(1)
    predicted, parts, mean = random.normal(size=(6, 4, 5)), random.normal(size=(6, 4, 5)), random.normal(size=5)
    own, others = quadrants.among_own(predicted, parts, mean), quadrants.among_others(predicted, parts, mean, 0)

    def alike(one, other):
        one, other = one - mean, other - mean
        return one @ other / np.sqrt((one @ one) * (other @ other))

    for row in range(6):
        by_own = [max(range(4), key=lambda j: alike(predicted[row, i], parts[row, j])) == i for i in range(4)]
        by_others = [max(range(6), key=lambda r: alike(predicted[row, i], parts[r, i])) == row for i in range(4)]
        assert own[row] == np.mean(by_own)
        assert others[row] == np.mean(by_others)


def test_the_others_are_99_wholes_drawn_for_each_and_never_itself():
    candidates = quadrants._candidates(150, 0)
    assert candidates.shape == (150, 100)
    assert (candidates[:, 0] == np.arange(150)).all()
    assert all(len(set(row)) == 100 for row in candidates.tolist())
    assert quadrants._candidates(5, 0).shape == (5, 5)


def test_an_oracle_that_holds_its_quadrants_is_at_the_ceiling():
    whole, parts = coded(codes.content, films=40)
    columns = columns_of(parts.reshape(*whole.shape[:-1], -1), parts)
    assert quadrants.quadrants_r2(columns, "") == pytest.approx(1, abs=1e-6)
    assert columns["own"].mean() == columns["others"].mean() == 1


def test_a_constant_is_at_chance_exactly():
    whole, parts = coded(lambda film, boxes: np.full((*boxes.shape[:-1], 7), 0.1), films=40)
    columns = columns_of(whole, parts)
    assert quadrants.quadrants_r2(columns, "") == 0
    assert columns["own"].mean() == 0.25
    assert columns["others"].mean() == pytest.approx(0.01, abs=1e-12)


def test_a_permuted_oracle_falls_to_chance():
    whole, parts = coded(codes.content, films=60)
    flat = parts.reshape(-1, parts.shape[-1])
    permuted = np.random.default_rng(0).permutation(flat).reshape(parts.shape)
    columns = columns_of(parts.reshape(*whole.shape[:-1], -1), permuted)
    assert -0.1 < quadrants.quadrants_r2(columns, "") < 0.05
    assert columns["own"].mean() == pytest.approx(0.25, abs=0.08)
    assert columns["others"].mean() < 0.05


def test_a_box_tells_of_a_code_of_places_all_there_is():
    _, parts = coded(lambda film, boxes: codes.box(boxes, SIDE)[..., :3], films=60)
    boxes, _ = coded(lambda film, boxes: codes.box(boxes, SIDE), films=60)
    assert quadrants.quadrants_r2(columns_of(boxes, parts), "") > 0.9
