"""Mixtures against plain loops; a linear code of places errs nowhere, a constant by chance."""

import numpy as np
import pytest

from tasks.probes import lines, mixtures

MEAN = np.array([0.2, -0.1, 0.3, 0.0, 0.5])
FEATURES = np.random.default_rng(0).normal(size=(4, 3, 9, 5)) + 1


def boxes(kind, films=12):
    return np.stack(
        [lines.draw_lines(0, str(film), 5, 224, 18, beyond=kind == "extrapolation") for film in range(films)]
    )


def cosine(one, other):
    return one @ other / np.sqrt(one @ one) / np.sqrt(other @ other)


@pytest.mark.parametrize("kind", mixtures.KINDS)
def test_the_columns_are_those_of_a_plain_loop(kind):
    columns = mixtures.line_columns(FEATURES, MEAN, kind)
    for film in range(4):
        film_mean = FEATURES[film].reshape(-1, 5).mean(axis=0)
        for line in range(3):
            a, b, *candidates = FEATURES[film, line]
            for number, t in enumerate((0.25, 0.5, 0.75)):
                truth = candidates[round(8 * t) - 1]
                mix = {"interpolation": (1 - t) * a + t * b, "extrapolation": b + t * (b - a)}[kind]
                swapped = {"interpolation": t * a + (1 - t) * b, "extrapolation": b + (1 - t) * (b - a)}[kind]
                near, far = ([cosine(m - MEAN, c - MEAN) for c in candidates] for m in (mix, swapped))
                raw = [cosine(mix, c) for c in candidates]
                wanted = {
                    "error": abs((np.argmax(near) + 1) / 8 - t),
                    "swapped_error": abs((np.argmax(far) + 1) / 8 - t),
                    "right_weights": np.nan if t == 0.5 else float(near[round(8 * t) - 1] > far[round(8 * t) - 1]),
                    "squared": ((truth - mix) ** 2).sum(),
                    "squared_a": ((truth - a) ** 2).sum(),
                    "squared_b": ((truth - b) ** 2).sum(),
                    "squared_film": ((truth - film_mean) ** 2).sum(),
                    "raw_cosine": raw[round(8 * t) - 1],
                    "raw_cosine_mismatched": (sum(raw) - raw[round(8 * t) - 1]) / 6,
                }
                for name, value in wanted.items():
                    assert columns[f"{kind}_{name}"][film, line, number] == pytest.approx(value, nan_ok=True), name


def places(kind):
    found = boxes(kind).astype(float)
    return (found[..., :2] + found[..., 2:]) / 2


@pytest.mark.parametrize("kind", mixtures.KINDS)
def test_a_linear_code_of_places_errs_nowhere(kind):
    code = places(kind) @ np.random.default_rng(0).normal(size=(2, 7)) + 5
    columns = mixtures.line_columns(code, code.reshape(-1, 7).mean(axis=0), kind)
    assert (columns[f"{kind}_error"] == 0).all()
    assert np.nanmean(columns[f"{kind}_right_weights"]) == 1
    assert mixtures.mixing_skill(columns, f"{kind}_skill") == pytest.approx(1)


@pytest.mark.parametrize("kind", mixtures.KINDS)
def test_a_constant_errs_by_chance_exactly_and_its_published_cosine_is_1(kind):
    code = np.full((6, 4, 9, 5), 0.1)
    columns = mixtures.line_columns(code, code.reshape(-1, 5).mean(axis=0), kind)
    assert columns[f"{kind}_error"].mean() == pytest.approx(lines.CHANCE, abs=1e-12)
    assert columns[f"{kind}_swapped_error"].mean() == pytest.approx(lines.CHANCE, abs=1e-12)
    assert np.nanmean(columns[f"{kind}_right_weights"]) == 0.5
    assert mixtures.mixing_skill(columns, f"{kind}_skill") == 0
    assert columns[f"{kind}_raw_cosine"] == pytest.approx(1)


@pytest.mark.parametrize("kind", mixtures.KINDS)
def test_a_permuted_code_errs_by_chance(kind):
    code = places(kind) + 5
    flat = np.random.default_rng(1).permutation(np.tile(code.reshape(-1, 2), (20, 1)))
    permuted = flat.reshape(20 * len(code), *code.shape[1:])
    columns = mixtures.line_columns(permuted, flat.mean(axis=0), kind)
    assert columns[f"{kind}_error"].mean() == pytest.approx(lines.CHANCE, abs=0.02)
    assert np.nanmean(columns[f"{kind}_right_weights"]) == pytest.approx(0.5, abs=0.03)
    assert mixtures.mixing_skill(columns, f"{kind}_skill") < 0
