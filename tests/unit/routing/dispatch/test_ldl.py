"""Sparse factorisation against a dense solve."""

import numpy as np
import pytest

from controller.routing.dispatch.ldl import analyse, elimination_order, factorise, room_for, solve


@pytest.mark.parametrize("size", [1, 2, 9, 60])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_solves_as_a_dense_matrix_does(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    entries = 0 if size == 1 else 2 * size
    one = rng.integers(0, size, entries).astype(np.int32)
    other = rng.integers(0, size, entries).astype(np.int32)
    one, other = one[one != other], other[one != other]
    order = elimination_order(size, one, other)
    assert sorted(order.tolist()) == list(range(size))
    one, other = order[one], order[other]
    pattern, place = analyse(size, one, other)
    weights = rng.uniform(0.1, 5.0, len(one))
    upper = np.zeros(len(pattern.row))
    np.subtract.at(upper, place, weights)
    dense = np.zeros((size, size))
    np.subtract.at(dense, (one, other), weights)
    dense += dense.T
    diagonal = -dense.sum(axis=1) + rng.uniform(0.01, 1.0, size)
    dense += np.diag(diagonal)
    factor = room_for(pattern)
    factorise(pattern, diagonal, upper, factor)
    right = rng.normal(size=size)
    expected = np.linalg.solve(dense, right)
    solve(pattern, factor, right)
    np.testing.assert_allclose(right, expected, rtol=1e-9, atol=1e-12)


def test_a_pivot_that_rounding_has_eaten_moves_nothing() -> None:
    one, other = np.array([0], dtype=np.int32), np.array([1], dtype=np.int32)
    pattern, _ = analyse(2, one, other)
    factor = room_for(pattern)
    factorise(pattern, np.array([1.0, 1.0]), np.array([-1.0]), factor)
    right = np.array([1.0, 5.0])
    solve(pattern, factor, right)
    np.testing.assert_allclose(right, [1.0, 0.0], atol=1e-100)
