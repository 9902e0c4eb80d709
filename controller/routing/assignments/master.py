"""The master program of column generation: how much of each circuit goes along each known path, at least cost.

Minimise ``cost x`` with ``x >= 0``, where each circuit's shares sum to 1 and no limit is exceeded. A limit becomes
a row only once a solution exceeds it; few ever do. HiGHS starts from the last basis each time.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.graph import Floats, Ints

# HiGHS's numbers of its strategies.
_DUAL_SIMPLEX, _PRIMAL_SIMPLEX = 1, 4
# Of a limit: used beyond this, it gets a row of its own; less is rounding.
_EXCEEDED = 1.0 + 1e-9


class Needs(NamedTuple):
    """What columns need of limits, in compressed rows: of ``limit[at]`` the share ``share[at]`` of all there is."""

    start: Ints
    limit: Ints
    share: Floats


class Optimum(NamedTuple):
    """``weight`` of each column; ``worth`` is the dual of each circuit, ``rent`` that of all of each limit."""

    weight: Floats
    cost: float
    worth: Floats
    rent: Floats


class Master:
    """Columns are only ever added. The first ones, one a circuit, must exceed no limit together.

    ``cost`` and ``needs`` are those of all columns.
    """

    def __init__(self, circuit_count: int, limit_count: int, scale: float) -> None:
        """``scale`` is about what a circuit costs: HiGHS has absolute tolerances."""
        self._count, self._scale = circuit_count, scale
        self._row = np.full(limit_count, -1, dtype=np.int32)
        self._limits: list[int] = []
        self._of = np.zeros(0, dtype=np.int32)
        self.cost = self._base = np.zeros(0)
        self.needs = Needs(np.zeros(1, np.int32), np.zeros(0, np.int32), np.zeros(0))
        # Loaded when it is needed: a controller that starts has no time for it.
        from controller.routing.assignments.silent_highs import SilentHighs

        self._highs = SilentHighs()  # type: ignore[no-untyped-call]
        # The last basis is always at hand.
        self._highs.setOptionValue("presolve", "off")
        ones, none = np.ones(circuit_count), np.zeros(0, dtype=np.int32)
        starts = np.zeros(circuit_count, dtype=np.int32)
        self._highs.addRows(circuit_count, ones, ones, 0, starts, none, np.zeros(0))

    def add(self, of: Ints, cost: Floats, needs: Needs) -> None:
        """Columns of circuits ``of``. The first ones are one a circuit, in their order."""
        if not len(self._of):
            self._base = cost[: self._count].copy()
        held = self._row[needs.limit] >= 0
        column = np.repeat(np.arange(len(of)), np.diff(needs.start))[held]
        rows = np.concatenate([of, self._row[needs.limit[held]]])
        shares = np.concatenate([np.ones(len(of)), needs.share[held]])
        order, starts = _by_row(np.concatenate([np.arange(len(of)), column]), len(of))
        self._highs.addCols(
            len(of),
            (cost - self._base[of]) / self._scale,
            np.zeros(len(of)),
            np.full(len(of), np.inf),
            len(shares),
            starts,
            rows[order].astype(np.int32),
            shares[order],
        )
        self._of = np.concatenate([self._of, of])
        self.cost = np.concatenate([self.cost, cost])
        self.needs = Needs(
            np.concatenate([self.needs.start, self.needs.start[-1] + needs.start[1:]]),
            np.concatenate([self.needs.limit, needs.limit]),
            np.concatenate([self.needs.share, needs.share]),
        )

    def solve(self) -> Optimum:
        """Raises RuntimeError where HiGHS ends without an optimum."""
        # After more columns the last basis is still feasible, after more rows its prices are.
        strategy = _PRIMAL_SIMPLEX
        while True:
            self._highs.setOptionValue("simplex_strategy", strategy)
            self._highs.run()
            strategy = _DUAL_SIMPLEX
            if self._highs.getModelStatus().name != "kOptimal":
                status = self._highs.modelStatusToString(self._highs.getModelStatus())
                raise RuntimeError(
                    f"HiGHS ended the choice of paths as {status!r}: it is left as it was"
                )
            solution = self._highs.getSolution()
            weight = np.array(solution.col_value)
            if not self._add_exceeded(weight):
                break
        dual = np.array(solution.row_dual) * self._scale
        rent = np.zeros(len(self._row))
        rent[self._limits] = np.maximum(-dual[self._count :], 0.0)
        return Optimum(weight, float(weight @ self.cost), self._base + dual[: self._count], rent)

    def _add_exceeded(self, weight: Floats) -> bool:
        needs = self.needs
        shares = np.repeat(weight, np.diff(needs.start)) * needs.share
        used = np.bincount(needs.limit, shares, minlength=len(self._row))
        exceeded = np.flatnonzero((used > _EXCEEDED) & (self._row < 0))
        if not len(exceeded):
            return False
        number = np.full(len(self._row), -1)
        number[exceeded] = np.arange(len(exceeded))
        entries = np.flatnonzero(number[needs.limit] >= 0)
        order, starts = _by_row(number[needs.limit[entries]], len(exceeded))
        entries = entries[order]
        column = np.searchsorted(needs.start, entries, side="right") - 1
        self._highs.addRows(
            len(exceeded),
            np.full(len(exceeded), -np.inf),
            np.ones(len(exceeded)),
            len(entries),
            starts,
            column.astype(np.int32),
            needs.share[entries],
        )
        self._row[exceeded] = self._count + len(self._limits) + np.arange(len(exceeded))
        self._limits.extend(exceeded.tolist())
        return True


def _by_row(row: npt.NDArray[np.int64], rows: int) -> tuple[npt.NDArray[np.int64], Ints]:
    """The order of entries by their rows, and where each row begins in it."""
    order = np.argsort(row, kind="stable")
    return order, np.searchsorted(row[order], np.arange(rows)).astype(np.int32)
