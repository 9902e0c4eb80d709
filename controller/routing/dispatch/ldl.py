"""Sparse LDL' factorisation of a symmetric positive definite matrix whose pattern is that of a network.

Up-looking, after T. A. Davis, "Algorithm 849: a concise sparse Cholesky factorization package", ACM TOMS 31 (2005).
The pattern is analysed once; every factorisation afterwards only fills in numbers.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_numeric
from controller.routing.graph import Floats, Ints

# Of its diagonal entry: a pivot that is less has been eaten by rounding.
_MIN_PIVOT = 1e-16


class Pattern(NamedTuple):
    """Rows of the strict upper triangle by column (``start``, ``row``), and what the factor will look like.

    Rows and columns are numbered in the order of their elimination. ``parent`` is the elimination tree;
    column j of the factor holds ``factor_start[j]`` up to ``factor_start[j + 1]``.
    """

    start: Ints
    row: Ints
    parent: Ints
    factor_start: Ints


class Factor(NamedTuple):
    """Room for the factor, filled by :func:`factorise`."""

    row: Ints
    value: Floats
    filled: Ints
    diagonal: Floats


def elimination_order(size: int, one: Ints, other: Ints) -> Ints:
    """``order[i]`` is when row i is eliminated, by minimum degree, for the pattern with entries (one, other)."""
    if size < 2:
        return np.zeros(size, dtype=np.int32)
    # Loaded when it is needed: a controller that starts has no time for it.
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    every = np.arange(size, dtype=np.int32)
    row, column = np.concatenate([one, other, every]), np.concatenate([other, one, every])
    # Links, then a diagonal that is above what is beside it.
    weights = np.full(len(row), -1.0)
    weights[2 * len(one) :] = np.bincount(column, minlength=size)
    matrix = csc_array((weights, (row, column)), shape=(size, size))
    options = {"SymmetricMode": True}
    found = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    return np.asarray(found.perm_c, dtype=np.int32)


def analyse(size: int, one: Ints, other: Ints) -> tuple[Pattern, Ints]:
    """The pattern with entries (one, other), numbered in elimination order, and the place of each entry in it."""
    row, column = np.minimum(one, other), np.maximum(one, other)
    keys = column.astype(np.int64) * max(size, 1) + row
    unique, place = np.unique(keys, return_inverse=True)
    rows: Ints = (unique % max(size, 1)).astype(np.int32)
    columns = np.arange(size + 1, dtype=np.int64) * max(size, 1)
    start: Ints = np.searchsorted(unique, columns).astype(np.int32)
    parent, counts = _elimination_tree(size, start, rows)
    factor_start = np.zeros(size + 1, dtype=np.int32)
    np.cumsum(counts, out=factor_start[1:])
    return Pattern(start, rows, parent, factor_start), place.astype(np.int32)


def room_for(pattern: Pattern) -> Factor:
    size, entries = len(pattern.parent), int(pattern.factor_start[-1])
    integers = np.zeros(entries, dtype=np.int32), np.zeros(size, dtype=np.int32)
    return Factor(integers[0], np.zeros(entries), integers[1], np.zeros(size))


@compiled_numeric
def _elimination_tree(size: int, start: Ints, row: Ints) -> tuple[Ints, Ints]:
    parent = np.full(size, -1, dtype=np.int32)
    flag = np.full(size, -1, dtype=np.int32)
    counts = np.zeros(size, dtype=np.int32)
    for k in range(size):
        flag[k] = k
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while flag[i] != k:
                if parent[i] == -1:
                    parent[i] = k
                counts[i] += 1
                flag[i] = k
                i = parent[i]
    return parent, counts


@compiled_numeric
def factorise(pattern: Pattern, diagonal: Floats, upper: Floats, factor: Factor) -> None:
    """Factor the matrix of ``diagonal`` (size n) and ``upper`` (one value for each place of the pattern).

    A pivot that rounding has eaten is replaced by an endless one: its unknown stays 0 in the solution.
    """
    size = len(diagonal)
    work = np.zeros(size)
    reach = np.zeros(size, dtype=np.int32)
    flag = np.full(size, -1, dtype=np.int32)
    factor.filled[:] = 0
    for k in range(size):
        flag[k] = k
        top = size
        for p in range(pattern.start[k], pattern.start[k + 1]):
            i = pattern.row[p]
            work[i] += upper[p]
            length = 0
            while flag[i] != k:
                reach[length] = i
                flag[i] = k
                i = pattern.parent[i]
                length += 1
            while length > 0:
                top -= 1
                length -= 1
                reach[top] = reach[length]
        pivot = diagonal[k]
        for index in range(top, size):
            i = reach[index]
            value = work[i]
            work[i] = 0.0
            begin = pattern.factor_start[i]
            end = begin + factor.filled[i]
            for p in range(begin, end):
                work[factor.row[p]] -= factor.value[p] * value
            entry = value / factor.diagonal[i]
            pivot -= entry * value
            factor.row[end] = k
            factor.value[end] = entry
            factor.filled[i] += 1
        factor.diagonal[k] = pivot if pivot > _MIN_PIVOT * diagonal[k] else 1e128


@compiled_numeric
def solve(pattern: Pattern, factor: Factor, right: Floats) -> None:
    """Solve in place."""
    size = len(right)
    for j in range(size):
        value = right[j]
        for p in range(pattern.factor_start[j], pattern.factor_start[j + 1]):
            right[factor.row[p]] -= factor.value[p] * value
    for j in range(size - 1, -1, -1):
        value = right[j] / factor.diagonal[j]
        for p in range(pattern.factor_start[j], pattern.factor_start[j + 1]):
            value -= factor.value[p] * right[factor.row[p]]
        right[j] = value
