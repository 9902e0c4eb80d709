"""The network as operated: ties are open, and flows are what Kirchhoff's laws leave of a choice.

On a radial network the flows follow from the loads alone, exactly, by one sweep from the leaves to the external grid
(backward sweep: Shirmohammadi and others, "A compensation-based power flow method", 1988, with voltages held at
nominal as in the transport model). Where lines form loops, currents are shared by impedance (linear power flow), and
the losses are found by repeating that until they stand.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import splu

from controller.routing.compiled import compiled
from controller.routing.graph import Floats, Ints
from topologies.importers.optional import require
from topologies.study.case import Bools, StudyCase

# Of the power flow's iteration: a dozen are enough where there is a solution.
_MAX_ROUNDS = 60
_RELATIVE_TOLERANCE = 1e-11
# How many times that tolerance is still taken, where rounding ends progress.
_LOOSEST = 1e3
# Rounding must not make an overload of a line that is exactly full.
_AMPACITY_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class OperatedFigures:
    """By step: what lines lose, whether one is overloaded, and whether the figures stand (loops only)."""

    loss_w: Floats
    overloaded: Bools
    converged: Bools


class AsOperated:
    """Flows of the network without its ties. ``fed`` says which routers the external grid reaches at all."""

    def __init__(self, case: StudyCase) -> None:
        links = np.flatnonzero(~case.link_is_tie)
        self.fed = case.fed(~case.link_is_tie)
        live = links[self.fed[case.link_a[links]]]
        self._is_radial = len(live) == int(self.fed.sum()) - 1
        self._flows: _Tree | _Mesh = (_Tree if self._is_radial else _Mesh)(case, live)

    @property
    def is_radial(self) -> bool:
        return self._is_radial

    def flows(self, needed_w: Floats) -> OperatedFigures:
        """``needed_w[t, v]``: what router v takes at step t, less what its own sources feed."""
        return self._flows.operate(np.where(self.fed, needed_w, 0.0))


class _Tree:
    def __init__(self, case: StudyCase, live: npt.NDArray[np.intp]) -> None:
        nx = require("networkx")
        tree = nx.Graph()
        tree.add_node(0)
        for link in live:
            tree.add_edge(int(case.link_a[link]), int(case.link_b[link]), link=int(link))
        towards_root = [(int(child), int(parent)) for parent, child in nx.bfs_edges(tree, 0)]
        towards_root.reverse()
        links = [tree.edges[pair]["link"] for pair in towards_root]
        self._child = np.array([child for child, _ in towards_root], dtype=np.int32)
        self._parent = np.array([parent for _, parent in towards_root], dtype=np.int32)
        self._resistance_ohm = case.resistance_ohm[links]
        self._voltage_v = case.voltage_v[links]
        self._most_a = case.ampacity_a[links] * (1.0 + _AMPACITY_TOLERANCE)

    def operate(self, needed_w: Floats) -> OperatedFigures:
        loss_w = np.zeros(len(needed_w))
        overloaded = np.zeros(len(needed_w), dtype=np.bool_)
        _sweep(
            self._child,
            self._parent,
            self._resistance_ohm,
            self._voltage_v,
            self._most_a,
            needed_w,
            loss_w,
            overloaded,
        )
        return OperatedFigures(loss_w, overloaded, np.ones(len(needed_w), dtype=np.bool_))


@compiled
def _sweep(
    child: Ints,
    parent: Ints,
    resistance_ohm: Floats,
    voltage_v: Floats,
    most_a: Floats,
    needed_w: Floats,
    loss_w: Floats,
    overloaded: Bools,
) -> None:
    """Adds up needs from the leaves; what is left of ``needed_w`` at node 0 is the external grid's."""
    for t in range(len(needed_w)):
        for k in range(len(child)):
            needed = needed_w[t, child[k]]
            if needed >= 0.0:
                current = needed / voltage_v[k]
                loss = resistance_ohm[k] * current * current
            else:
                # The surplus is what is sent: solve R*I**2 + U*I = surplus, in the form that is exact for small R.
                discriminant = voltage_v[k] * voltage_v[k] - 4.0 * resistance_ohm[k] * needed
                current = -2.0 * needed / (voltage_v[k] + math.sqrt(discriminant))
                loss = resistance_ohm[k] * current * current
            needed_w[t, parent[k]] += needed + loss
            loss_w[t] += loss
            if current > most_a[k]:
                overloaded[t] = True


class _Mesh:
    def __init__(self, case: StudyCase, live: npt.NDArray[np.intp]) -> None:
        self._a, self._b = case.link_a[live], case.link_b[live]
        self._resistance_ohm = case.resistance_ohm[live]
        self._voltage_v = case.voltage_v[live]
        self._most_a = case.ampacity_a[live] * (1.0 + _AMPACITY_TOLERANCE)
        # Power over a link by the difference of angles: all voltages are nominal, so levels need no transformer here.
        self._stiffness = self._voltage_v**2 / case.impedance_ohm[live]
        # Without node 0, which holds the angle, and without routers that the external grid does not reach.
        self._nodes = np.unique(np.concatenate([self._a, self._b, [0]]))[1:]
        self._leaving = self._ends(self._a, case.node_count)
        self._entering = self._ends(self._b, case.node_count)
        self._incidence = self._leaving - self._entering
        weighted = self._incidence.multiply(self._stiffness[:, np.newaxis])
        self._solver = splu((self._incidence.T @ weighted).tocsc())

    def _ends(self, ends: Ints, node_count: int) -> csc_matrix:
        """A one in each link's row, at the router of this end; no column for node 0."""
        rows = np.arange(len(ends))
        shape = (len(ends), node_count)
        return coo_matrix((np.ones(len(ends)), (rows, ends)), shape=shape).tocsc()[:, self._nodes]

    def operate(self, needed_w: Floats) -> OperatedFigures:
        needed = needed_w.T[self._nodes]
        scale = np.maximum(np.abs(needed).sum(axis=0), 1.0)
        loss = np.zeros((len(self._a), needed.shape[1]))
        received = np.zeros_like(loss)
        change = np.full(needed.shape[1], np.inf)
        for _ in range(_MAX_ROUNDS):
            received = self._shared(needed, loss, received)
            current_a = received / self._voltage_v[:, np.newaxis]
            found = self._resistance_ohm[:, np.newaxis] * current_a**2
            change = np.abs(found - loss).sum(axis=0)
            loss = found
            if np.all(change <= _RELATIVE_TOLERANCE * scale):
                break
        current_a = np.abs(received) / self._voltage_v[:, np.newaxis]
        overloaded = np.any(current_a > self._most_a[:, np.newaxis], axis=0)
        converged = change <= _LOOSEST * _RELATIVE_TOLERANCE * scale
        return OperatedFigures(loss.sum(axis=0), overloaded, converged)

    def _shared(self, needed: Floats, loss: Floats, received: Floats) -> Floats:
        """Received power from a to b (columns are steps) when each loss is drawn at the end that sent before."""
        sent_by_a = np.where(received >= 0.0, loss, 0.0)
        drawn = self._leaving.T @ sent_by_a + self._entering.T @ (loss - sent_by_a)
        angles = self._solver.solve(-needed - drawn)
        shared: Floats = self._stiffness[:, np.newaxis] * (self._incidence @ angles)
        return shared
