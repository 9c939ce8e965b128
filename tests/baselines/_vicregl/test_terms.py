import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines._vicregl.terms import hinge, off_diagonal, vic_terms
from tests.baselines._vicregl.plain import noise, plain_terms


@pytest.mark.trap(
    "vicregl", "mean squared error, hinge on sqrt(var + 1e-4), covariance with N − 1 and over D", "plain loops"
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 6), dim=st.integers(1, 8))
def test_the_three_terms_are_the_formulas(seed, count, dim):
    """Both products of the covariance term are reached: the batch is smaller or larger than the dimension."""
    first, second = noise(count, dim, seed=seed), 0.3 * noise(count, dim, seed=seed + 1)
    assert [float(t) for t in vic_terms(first, second)] == pytest.approx(plain_terms(first, second), abs=1e-5)


def test_a_constant_embedding_has_the_largest_hinge_and_spread_has_none():
    assert float(hinge(torch.ones(4, 3))) == pytest.approx(1 - 0.01)
    assert float(hinge(torch.tensor([[-2.0], [2.0]]))) == 0


@pytest.mark.trap("vicregl", "mean squared error, hinge on sqrt(var + 1e-4), covariance with N − 1 and over D")
def test_covariance_has_divisor_n_minus_1_and_is_of_off_diagonals():
    z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert float(off_diagonal(z)) == pytest.approx(2 * 2.0**2 / 2)  # C = [[2, 2], [2, 2]], D = 2
    assert float(off_diagonal(z * torch.tensor([1.0, 0.0]))) == 0


@pytest.mark.trap("vicregl", "embeddings are not normalised", "held")
def test_embeddings_are_not_normalised():
    first, second = noise(5, 4), noise(5, 4, seed=1)
    assert float(vic_terms(2 * first, 2 * second).invariance) == pytest.approx(
        4 * float(vic_terms(first, second).invariance)
    )


@pytest.mark.trap("vicregl", "no stop-gradient", "both views")
def test_gradients_flow_into_both_views():
    first, second = noise(4, 3).requires_grad_(), noise(4, 3, seed=1).requires_grad_()
    vic_terms(first, second).invariance.backward()
    assert first.grad.abs().min() > 0
    assert first.grad.equal(-second.grad)


def test_a_single_image_has_terms_and_no_nan():
    assert all(term.isfinite() for term in vic_terms(noise(1, 4), noise(1, 4, seed=1)))
