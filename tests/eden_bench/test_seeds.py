"""Every draw is a function of its address."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench import seeds


@given(st.lists(st.integers(0, 200), min_size=1, max_size=20), st.integers(1, 9))
def test_a_row_does_not_depend_on_the_rows_beside_it(rows, width):
    table = seeds.uniforms(3, "views", 1, rows=np.arange(201), width=width)
    assert np.array_equal(seeds.uniforms(3, "views", 1, rows=np.array(rows), width=width), table[rows])


def test_rows_are_the_generators_own_stream():
    plain = np.random.Generator(np.random.Philox(key=seeds.key(5, "x"))).random((3, 4))
    assert np.array_equal(seeds.uniforms(5, "x", rows=np.arange(3), width=4), plain)


def test_addresses_do_not_collide_by_concatenation_or_type():
    keys = {
        seeds.key(0, "ab", "c"),
        seeds.key(0, "a", "bc"),
        seeds.key(0, "a", 1),
        seeds.key(0, "a", "1"),
        seeds.key(1),
    }
    assert len(keys) == 5


def test_uniforms_are_uniform():
    from scipy.stats import kstest

    draws = seeds.uniforms(0, "u", rows=np.arange(4000), width=3)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert all(kstest(column, "uniform").pvalue > 1e-3 for column in draws.T)


def test_a_negative_row_is_refused():
    with pytest.raises(ValueError, match="rows must be at least 0, not -1"):
        seeds.uniforms(0, "u", rows=np.array([-1]), width=2)


def test_no_global_generator_is_read():
    import torch

    np.random.seed(0)
    state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    seeds.uniforms(0, "u", rows=np.arange(3), width=2)
    seeds.shuffled(10, 0, "order")
    torch.rand(2, generator=seeds.torch_generator(0, "t"))
    assert np.array_equal(np.random.get_state()[1], state)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
