"""Parts against wholes by plain loops; an additive code at its ceiling, a constant and a permuted one at chance."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from tasks.probes import codes, part_whole, wholes

FILMS, PLACES, SIDE = 7, 3, 96


def toy(films=FILMS, seed=0):
    """Films of smooth noise, the boxes on each, and the patients' groups."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (films, 12, 12))
    pixels = np.kron(coarse, np.ones((8, 8))).astype(np.uint8)
    boxes = np.zeros((films, PLACES, 2, 4), dtype=np.int64)
    for number, group in enumerate(wholes.groups_of(films)):
        boxes[group] = wholes.draw_pairs(0, number, PLACES, SIDE)
    return pixels, boxes


def coded(code, layout="2x2", films=FILMS, seed=0):
    """The features of wholes and of their parts by a function of film and boxes."""
    pixels, boxes = toy(films, seed)
    parts = wholes.parts_of(boxes, layout)
    pairs = [(code(film, w), code(film, p)) for film, w, p in zip(pixels, boxes, parts, strict=True)]
    return np.stack([w for w, _ in pairs]), np.stack([p for _, p in pairs])


def columns_of(whole, parts, mean):
    sums = parts.mean(axis=-2)
    found = {**part_whole.cosines(whole, sums, mean), **part_whole.retrieval(whole, sums, mean)}
    return {name: values.ravel() for name, values in found.items()}


def mean_of(whole, parts):
    return np.concatenate([x.reshape(-1, x.shape[-1]) for x in (whole, parts)]).mean(axis=0)


def cosine(one, other):
    return one @ other / np.sqrt(one @ one) / np.sqrt(other @ other)


def test_the_columns_are_those_of_a_plain_loop():
    random = np.random.default_rng(3)
    whole, sums, mean = random.normal(size=(5, 3, 2, 4)), random.normal(size=(5, 3, 2, 4)), random.normal(size=4)
    found, ranks = part_whole.cosines(whole, sums, mean), part_whole.retrieval(whole, sums, mean)
    twin = {0: 1, 1: 0, 2: 3, 3: 4, 4: 2}
    for film in range(5):
        for place in range(3):
            for role in range(2):
                w = whole[film, place, role] - mean
                at = film, place, role
                assert found["matched"][at] == pytest.approx(cosine(w, sums[at] - mean))
                assert found["shifted"][at] == pytest.approx(cosine(w, sums[film, place, 1 - role] - mean))
                assert found["other_patient"][at] == pytest.approx(cosine(w, sums[twin[film], place, role] - mean))
                gallery = [cosine(sums[at] - mean, whole[f, place, r] - mean) for f in range(5) for r in range(2)]
                rank = 1 + sum(other > gallery[2 * film + role] for other in gallery)
                assert ranks["top1"][at] == (rank == 1)
                assert ranks["mrr"][at] == pytest.approx(1 / rank)


def test_the_auc_is_scikit_learns_over_all_mismatches():
    random = np.random.default_rng(0)
    columns = {name: random.normal(shift, 1, 50).round(1) for name, shift in zip("abc", (0.5, 0, 0), strict=True)}
    columns = dict(zip(("matched", "shifted", "other_patient"), columns.values(), strict=True))
    for name, against in (("", ["shifted", "other_patient"]), ("auc_shifted", ["shifted"])):
        target = [1] * 50 + [0] * 50 * len(against)
        values = np.concatenate([columns[column] for column in ("matched", *against)])
        ours = part_whole.auc_matched(columns, "") if not name else part_whole.auc_matched_against(columns, name)
        assert ours == pytest.approx(roc_auc_score(target, values))


@pytest.mark.parametrize("layout", wholes.LAYOUTS)
def test_the_oracle_is_at_its_ceiling(layout):
    whole, parts = coded(codes.content, layout)
    columns = columns_of(whole, parts, mean_of(whole, parts))
    assert part_whole.auc_matched(columns, "") == 1
    assert columns["top1"].mean() == columns["mrr"].mean() == 1
    assert columns["matched"] == pytest.approx(1)


@pytest.mark.parametrize("layout", wholes.LAYOUTS)
def test_a_constant_is_at_chance_exactly_and_its_published_cosine_is_1(layout):
    whole, parts = coded(lambda film, boxes: np.full((*boxes.shape[:-1], 11), 0.1, dtype=np.float32), layout)
    whole, parts = whole.astype(np.float64), parts.astype(np.float64)
    columns = columns_of(whole, parts, mean_of(whole, parts))
    assert part_whole.auc_matched(columns, "") == 0.5
    assert columns["top1"].mean() == pytest.approx(1 / (2 * FILMS), abs=1e-12)
    assert columns["mrr"].mean() == pytest.approx(sum(1 / r for r in range(1, 15)) / 14, abs=1e-12)
    raw = part_whole.cosines(whole, parts.mean(axis=-2), 0.0)
    assert [raw[name].mean() for name in ("matched", "shifted", "other_patient")] == pytest.approx([1, 1, 1])
    assert part_whole.calibrated(raw["matched"].mean(), raw["shifted"].mean()) == 0


def test_a_permuted_oracle_falls_to_chance():
    whole, parts = coded(codes.content, films=60)
    order = np.random.default_rng(0).permutation(parts.shape[0] * parts.shape[1] * 2)
    permuted = parts.reshape(-1, 4, parts.shape[-1])[order].reshape(parts.shape)
    columns = columns_of(whole, permuted, mean_of(whole, parts))
    assert part_whole.auc_matched(columns, "") == pytest.approx(0.5, abs=0.06)
    assert columns["top1"].mean() < 5 / 120


def test_position_alone_tells_places_but_not_patients():
    whole, parts = coded(lambda film, boxes: codes.box(boxes, SIDE)[..., [0, 1, 3, 4, 9, 10, 12, 13]])
    columns = columns_of(whole, parts, mean_of(whole, parts))
    assert part_whole.auc_matched_against(columns, "auc_other_patient") == 0.5
    assert part_whole.auc_matched_against(columns, "auc_shifted") > 0.9


def test_the_fit_is_scikit_learns_ridge_and_an_additive_code_is_fitted_wholly():
    whole, parts = coded(codes.content, films=24)
    flat = whole.reshape(-1, whole.shape[-1]), parts.reshape(-1, 4, parts.shape[-1])
    train, test = ((flat[0][a:b], flat[1][a:b]) for a, b in ((0, 72), (72, 144)))
    patients = [str(row // 6) for row in range(72)]
    found = part_whole.fitted(train, patients, test)
    x = train[1].reshape(72, -1)
    penalty = part_whole.fit_over_patients(x, train[0], patients).penalty
    model = Ridge(alpha=penalty, solver="svd").fit(x, train[0])
    error = ((test[0] - model.predict(test[1].reshape(72, -1))) ** 2).sum(axis=1)
    assert found["ridge_error"] == pytest.approx(error, rel=1e-4, abs=1e-9)
    assert found["ridge_total"] == pytest.approx(((test[0] - train[0].mean(axis=0)) ** 2).sum(axis=1))
    assert part_whole.explained_share(found, "ridge_r2") == pytest.approx(1, abs=1e-6)


def test_a_constant_fits_nothing():
    train = np.full((12, 5), 0.1), np.full((12, 4, 5), 0.1)
    found = part_whole.fitted(train, list("aabbccddeeff"), train)
    assert part_whole.explained_share(found, "ridge_r2") == 0


def test_the_area_of_resamples_is_that_of_the_drawn_cases():
    rng = np.random.default_rng(7)
    columns = {name: rng.integers(0, 9, 12) / 8 for name in ("matched", *part_whole.MISMATCHES)}  # with ties
    counts = rng.multinomial(12, np.full(12, 1 / 12), 50).astype(float)
    drawn = [{name: np.repeat(each, row.astype(int)) for name, each in columns.items()} for row in counts]
    expected = [part_whole.auc_matched(each, "part_whole_auc") for each in drawn]
    assert part_whole.counted_auc_matched(columns, "part_whole_auc", counts) == pytest.approx(expected, abs=1e-12)
