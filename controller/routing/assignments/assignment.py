"""One path for every circuit, out of known ones, at fixed costs under shared capacities: rounding and local search.

A solution of the linear program leaves few circuits on several paths, at most as many as capacities bind. Each takes
the path with most of it. Then what is overloaded is relieved, always by the move that costs least for each ampere
relieved, and every circuit is tried on each path that would be cheaper for it: where others can make way for less
than it gains, they do.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.assignments.master import Needs
from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints

# Circuits that make way for one, at most.
_MAX_EJECTED = 1
# Through all circuits, in one descent: a pass that gains too little ends it long before, so this only ends it for sure.
_MAX_PASSES = 20
# What a pass must gain for another one.
_WORTH = 2e-5
# Times that what stays overloaded is made to weigh more; where something still is then, no assignment was found.
_MAX_BREAKOUTS = 60
# Moves between two breakouts, a circuit.
_MAX_MOVES = 2
# What is as full as this, by rounding, is not overloaded.
_FULL = 1.0 + 1e-9


class Columns(NamedTuple):
    """Paths to choose from: those of circuit i are ``column[start[i]:start[i + 1]]``, at ``cost_w`` each.

    Only the ``limit_count`` limits that could be exceeded are left in ``needs``.
    """

    start: Ints
    column: Ints
    cost_w: Floats
    needs: Needs
    limit_count: int


class State(NamedTuple):
    """Shares of capacities in use, what an overload of each weighs, and the column chosen for each circuit."""

    used: Floats
    weight: Floats
    chosen: Ints


def columns_of(count: int, of: Ints, cost_w: Floats, needs: Needs, limit_count: int) -> Columns:
    """Columns by circuit; ``needs`` has shares of ``limit_count`` limits."""
    order = np.argsort(of, kind="stable").astype(np.int32)
    start = np.zeros(count + 1, dtype=np.int32)
    np.cumsum(np.bincount(of, minlength=count), out=start[1:])
    could = np.flatnonzero(_most_used(start, order, needs, limit_count) > 1.0)
    number = np.full(limit_count, -1, dtype=np.int32)
    number[could] = np.arange(len(could))
    held = np.flatnonzero(number[needs.limit] >= 0)
    kept = Needs(
        np.searchsorted(held, needs.start).astype(np.int32),
        number[needs.limit[held]],
        needs.share[held],
    )
    return Columns(start, order, cost_w, kept, len(could))


@compiled
def heaviest(columns: Columns, weight: Floats) -> Ints:
    """For every circuit the column that carries most of it."""
    chosen = np.empty(len(columns.start) - 1, dtype=np.int32)
    for circuit in range(len(chosen)):
        own = columns.column[columns.start[circuit] : columns.start[circuit + 1]]
        chosen[circuit] = own[np.argmax(weight[own])]
    return chosen


@compiled
def assign(columns: Columns, chosen: Ints, enough_w: float) -> bool:
    """Change ``chosen`` until it fits, and no move or ejection lowers its cost, or that is ``enough_w``.

    False where it could not be made to fit.
    """
    state = State(np.zeros(columns.limit_count), np.ones(columns.limit_count), chosen)
    cost_w = 0.0
    for circuit in range(len(chosen)):
        _put(columns, chosen[circuit], 1.0, state.used)
    log = np.empty((_MAX_MOVES * len(chosen) + 1, 2), dtype=np.int32)
    for _ in range(_MAX_BREAKOUTS):
        if _relieve(columns, state, -1, np.inf, log) >= 0:
            break
        # What stays overloaded weighs more, until circuits leave it even to where they overload something else.
        for limit in range(columns.limit_count):
            if state.used[limit] > _FULL:
                state.weight[limit] *= 2.0
    else:
        return False
    state.weight[:] = 1.0
    for circuit in range(len(chosen)):
        cost_w += columns.cost_w[chosen[circuit]]
    for _ in range(_MAX_PASSES):
        before_w = cost_w
        for circuit in range(len(chosen)):
            for at in range(columns.start[circuit], columns.start[circuit + 1]):
                if cost_w <= enough_w:
                    return True
                cost_w -= _try(columns, state, circuit, columns.column[at], log[: _MAX_EJECTED + 1])
        if cost_w >= before_w * (1.0 - _WORTH):
            break
    return True


@compiled
def _try(columns: Columns, state: State, circuit: int, column: int, log: Ints) -> float:
    """Move a circuit if others can make way for less than it gains, else leave all as it was; returns the gain."""
    before = state.chosen[circuit]
    gain_w = columns.cost_w[before] - columns.cost_w[column]
    if gain_w <= 1e-9 * columns.cost_w[column]:
        return 0.0
    _move(columns, state, circuit, column)
    moves = _relieve(columns, state, circuit, gain_w, log)
    if moves >= 0:
        for step in range(moves):
            moved = log[step, 0]
            gain_w -= columns.cost_w[state.chosen[moved]] - columns.cost_w[log[step, 1]]
        return float(gain_w)
    for step in range(-moves - 2, -1, -1):
        _move(columns, state, log[step, 0], log[step, 1])
    _move(columns, state, circuit, before)
    return 0.0


@compiled
def _relieve(columns: Columns, state: State, kept: int, most_w: float, log: Ints) -> int:
    """Move circuits, each once and never ``kept``, until nothing is overloaded, for less than ``most_w`` together.

    Returns the number of moves; where it gives up, -1 less those it made. ``log`` says who was where before, and
    its length how many moves there may be.
    """
    moves = 0
    while True:
        overloaded = False
        for limit in range(columns.limit_count):
            overloaded |= state.used[limit] > _FULL
        if not overloaded:
            return moves
        if moves == len(log) - 1:
            return -1 - moves
        circuit, column, cost_w = _cheapest_relief(columns, state, kept, most_w)
        if circuit < 0:
            return -1 - moves
        log[moves, 0], log[moves, 1] = circuit, state.chosen[circuit]
        _move(columns, state, circuit, column)
        most_w -= cost_w
        moves += 1


@compiled
def _cheapest_relief(
    columns: Columns, state: State, kept: int, most_w: float
) -> tuple[int, int, float]:
    """The move with the least cost for what it relieves; circuit -1 where none relieves anything."""
    best_circuit, best_column, best_cost_w, best_rate = -1, -1, 0.0, np.inf
    for circuit in range(len(state.chosen)):
        first, last = columns.start[circuit], columns.start[circuit + 1]
        here = state.chosen[circuit]
        if circuit == kept or last - first == 1 or not _is_over(columns, state, here):
            continue
        _put(columns, here, -1.0, state.used)
        over_here = _over_with(columns, state, here)
        for at in range(first, last):
            column = columns.column[at]
            cost_w = columns.cost_w[column] - columns.cost_w[here]
            if column == here or cost_w >= most_w:
                continue
            relieved = over_here - _over_with(columns, state, column)
            if relieved > 1e-12:
                rate = cost_w / relieved if cost_w > 0.0 else cost_w * relieved
                if rate < best_rate:
                    best_circuit, best_column = circuit, column
                    best_cost_w, best_rate = cost_w, rate
        _put(columns, here, 1.0, state.used)
    return best_circuit, best_column, best_cost_w


@compiled
def _is_over(columns: Columns, state: State, column: int) -> bool:
    for at in range(columns.needs.start[column], columns.needs.start[column + 1]):
        if state.used[columns.needs.limit[at]] > _FULL:
            return True
    return False


@compiled
def _over_with(columns: Columns, state: State, column: int) -> float:
    """The weight of the overload that a column adds where it is put beside what is there."""
    over = 0.0
    for at in range(columns.needs.start[column], columns.needs.start[column + 1]):
        limit = columns.needs.limit[at]
        before = max(0.0, state.used[limit] - _FULL)
        over += state.weight[limit] * (
            max(0.0, state.used[limit] + columns.needs.share[at] - _FULL) - before
        )
    return over


@compiled
def _move(columns: Columns, state: State, circuit: int, column: int) -> None:
    _put(columns, state.chosen[circuit], -1.0, state.used)
    _put(columns, column, 1.0, state.used)
    state.chosen[circuit] = column


@compiled
def _put(columns: Columns, column: int, sign: float, used: Floats) -> None:
    for at in range(columns.needs.start[column], columns.needs.start[column + 1]):
        used[columns.needs.limit[at]] += sign * columns.needs.share[at]


@compiled
def _most_used(start: Ints, order: Ints, needs: Needs, limit_count: int) -> Floats:
    """What of each limit would be used if every circuit took that of its columns which needs most of it."""
    most, own = np.zeros(limit_count), np.zeros(limit_count)
    for circuit in range(len(start) - 1):
        for place in range(start[circuit], start[circuit + 1]):
            column = order[place]
            for at in range(needs.start[column], needs.start[column + 1]):
                own[needs.limit[at]] = max(own[needs.limit[at]], needs.share[at])
        for place in range(start[circuit], start[circuit + 1]):
            column = order[place]
            for at in range(needs.start[column], needs.start[column + 1]):
                most[needs.limit[at]] += own[needs.limit[at]]
                own[needs.limit[at]] = 0.0
    return most
