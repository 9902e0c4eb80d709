"""Numbers of neighbours are near each other, whatever they were before."""

import numpy as np

from controller.routing.paths.locality import near_numbers


def test_a_shuffled_grid_is_numbered_along_its_diagonals() -> None:
    side = 20
    node = np.random.default_rng(1).permutation(side * side).reshape(side, side)
    a = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    b = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    old = near_numbers(side * side, a, b)
    assert sorted(old.tolist()) == list(range(side * side))
    new = np.empty(side * side, dtype=int)
    new[old] = np.arange(side * side)
    assert np.abs(new[a] - new[b]).max() <= side + 1


def test_routers_without_links_are_numbered_too() -> None:
    assert sorted(near_numbers(4, [0], [2]).tolist()) == [0, 1, 2, 3]
    assert near_numbers(1, [], []).tolist() == [0]
