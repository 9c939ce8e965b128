"""Locality, cross-scale and symmetry on toy films: oracle at its ceiling, constant at chance, permuted at chance."""

import numpy as np
import pytest

from baselines.constant import ConstantEncoder
from baselines.pixels import PixelsEncoder
from baselines.position import PositionEncoder
from eden_bench.encoders import build_encoder
from tasks import cross_scale, locality, symmetry
from tasks.probes import search
from tasks.probes.cross_scale import OpenCrossScale
from tasks.probes.locality import OpenLocality
from tasks.probes.ranks import directions
from tasks.probes.symmetry import OpenSymmetry
from tests.tasks.probes import toy_landmarks as toy

KINDS = {
    OpenLocality: locality.IDENTIFICATION,
    OpenCrossScale: cross_scale.CROSS_SCALE,
    OpenSymmetry: symmetry.MIRRORED,
}
L = len(toy.NAMES)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def test_scores_are_defined_bounded_and_the_mean_of_their_cases(kind, tmp_path):
    outcome, score = toy.opened(kind, tmp_path).run(PixelsEncoder(), 0), KINDS[kind]
    for name, value in outcome.scores.items():
        low, high = score.of(name).limits
        assert score.of(name).text, name
        assert low <= value <= high, name
    assert np.mean(outcome.cases[score.name]) == pytest.approx(outcome.scores[score.name])
    assert len({len(column) for column in outcome.cases.values()}) == 1


def test_the_oracle_is_at_its_ceiling(kind, tmp_path):
    probe = toy.tell_body(toy.opened(kind, tmp_path))
    outcome, name = probe.run(toy.Body(), 0), KINDS[kind].name
    assert outcome.scores[name] == outcome.controls["oracle"] == 1


def test_a_constant_is_at_chance_exactly(kind, tmp_path):
    outcome, name = toy.opened(kind, tmp_path).run(ConstantEncoder(), 0), KINDS[kind].name
    assert outcome.scores[name] == pytest.approx(outcome.controls["chance"], abs=1e-12)
    assert outcome.scores[f"{name}_raw"] == pytest.approx(outcome.controls["chance"], abs=1e-12)
    assert outcome.controls["chance"] == pytest.approx(1 / 2 if kind is OpenSymmetry else 1 / L)


def test_a_permuted_encoder_falls_to_chance_and_the_encoder_itself_is_above(kind, tmp_path):
    probe, name = toy.opened(kind, tmp_path), KINDS[kind].name
    drawn = probe.run(toy.Permuted(PixelsEncoder()), 0)
    assert probe.run(PixelsEncoder(), 0).scores[name] > 1.8 * drawn.controls["chance"]
    chance, n = drawn.controls["chance"], len(drawn.cases["case"])
    assert abs(drawn.scores[name] - chance) < 3.5 * np.sqrt(chance * (1 - chance) / n)


def test_a_constant_has_no_locality_by_any_score(tmp_path):
    scores = toy.opened(OpenLocality, tmp_path).run(ConstantEncoder(), 0).scores
    at_chance = ("identification_inside", "identification_small", "identification_large", "purity", "linear_probe")
    assert [scores[name] for name in at_chance] == pytest.approx([1 / L] * 5)
    assert [scores[name] for name in ("silhouette", "ami", "ari")] == [0, 0, 0]
    assert scores["cosine_same_raw"] == scores["cosine_other_raw"] == pytest.approx(1)


def test_raw_cosines_of_an_untrained_network_are_near_one_whatever_is_shown(tmp_path):
    probe = toy.opened(OpenLocality, tmp_path, grid=2, searched_films=1)
    scores = probe.run(build_encoder("resnet18", seed=0), 0).scores
    assert min(scores["cosine_same_raw"], scores["cosine_other_raw"]) > 0.9
    assert scores["cosine_same_raw"] - scores["cosine_other_raw"] < 0.1


# ── localisation ─────────────────────────────────────────────────────────────────────────────────


def test_the_oracle_finds_the_nearest_place_of_the_grid(tmp_path):
    scores = toy.tell_body(toy.opened(OpenLocality, tmp_path)).run(toy.Body(), 0).scores
    assert scores["radial_error"] == pytest.approx(scores["radial_error_grid"], rel=0.1)
    assert scores["template_error_1"] == pytest.approx(scores["radial_error_grid"], rel=0.1)
    assert scores["radial_error"] < scores["radial_error_mean_place"]


def test_places_are_found_by_a_plain_loop_over_the_grid(tmp_path):
    probe, encoder = toy.opened(OpenLocality, tmp_path, grid=8), PixelsEncoder()
    found = probe.patches(encoder, probe.protocol.patch_share)
    mean = found[: 6 * L].mean(axis=0)
    errors = search.errors(probe, encoder, found, mean)
    centred, step = directions(found, mean), toy.SIDE / 8
    for n, film in enumerate(search.searched(probe)):
        for k, name in enumerate(toy.NAMES):
            template = np.mean([centred[i * L + k] for i in range(6)], axis=0)
            best = {}
            for row in range(8):
                for column in range(8):
                    x, y = (column + 0.5) * step, (row + 0.5) * step
                    box = np.array([[x - 8, y - 8, x + 8, y + 8]]).astype(int)
                    (place,) = directions(probe.embed(encoder, np.array([film]), box), mean)
                    best[x, y] = place @ template
            x, y = max(best, key=best.get)
            truth = np.array(toy.BASE[name]) + toy.SHIFTS[int(probe.items[film].id)]
            assert errors["all"][n, k] == pytest.approx(np.hypot(x - truth[0], y - truth[1]))
    truth = np.array([toy.BASE[name] for name in toy.NAMES])
    shifts = np.array([toy.SHIFTS[int(item.id)] for item in probe.items])
    away = shifts[search.searched(probe)] - shifts[:6].mean(axis=0)
    assert errors["mean_place"] == pytest.approx(np.linalg.norm(away, axis=1)[:, None].repeat(len(truth), axis=1))


def test_errors_are_shares_of_the_box_about_the_lungs_or_else_about_the_landmarks(tmp_path):
    with_masks = toy.opened(OpenLocality, tmp_path, masks=True)
    assert with_masks.box_px == pytest.approx([np.hypot(110, 90)] * toy.FILMS)
    without = toy.opened(OpenLocality, tmp_path)
    assert without.box_px == pytest.approx([np.hypot(96 - 32, 96 - 40)] * toy.FILMS)
    assert (with_masks.data["box"], without.data["box"]) == ("of the lungs' masks", "of the landmarks")
    assert with_masks.data["digest"] != without.data["digest"]
    a, b = (probe.run(PixelsEncoder(), 0).scores for probe in (with_masks, without))
    assert a["radial_error"] * np.hypot(110, 90) == pytest.approx(b["radial_error"] * np.hypot(64, 56))
    assert a["radial_error_px"] == b["radial_error_px"] == pytest.approx(b["radial_error"] * np.hypot(64, 56))


# ── symmetry ─────────────────────────────────────────────────────────────────────────────────────


def test_a_position_says_nothing_of_symmetry(tmp_path):
    scores = toy.opened(OpenSymmetry, tmp_path).run(PositionEncoder(), 0).scores
    assert scores == {"mirrored": 0.5, "mirrored_raw": 0.5, "unmirrored": 0.5, "mirrored_gain": 0, "laterality": 0.5}


def test_an_encoder_blind_to_mirroring_gains_nothing_by_it_and_cannot_tell_sides(tmp_path):
    class Blind(PixelsEncoder):
        def maps(self, images):
            return tuple(a + b for a, b in zip(super().maps(images), super().maps(images.flip(-1)), strict=True))

    scores = toy.opened(OpenSymmetry, tmp_path).run(Blind(), 0).scores
    assert scores["mirrored"] == scores["unmirrored"] > 0.9
    assert scores["laterality"] == 0.5
    plain = toy.opened(OpenSymmetry, tmp_path).run(PixelsEncoder(), 0).scores
    assert plain["mirrored"] > 0.9
    assert plain["laterality"] > 0.9
