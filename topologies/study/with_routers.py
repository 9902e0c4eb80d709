"""The best that power routers can do at one step: dispatch over the network, surplus going to the grid beyond."""

from dataclasses import dataclass

import numpy as np

from controller.routing.dispatch import DispatchProblem, dispatch
from controller.routing.graph import Floats, Ints, graph_of_links
from topologies.study.case import Bools, StudyCase
from topologies.study.missing import Cause, Missing, missing_at

# Share of a load or source below which a difference is the solver's tolerance, and not reported.
_NOTICED = 1e-5


@dataclass(frozen=True, slots=True)
class Answer:
    """One step. ``curtailed_w`` is what local sources could have fed and did not; ``missing`` is what loads lacked."""

    loss_w: float
    unserved_w: float
    curtailed_w: float
    converged: bool
    missing: tuple[Missing, ...] = ()


class Dispatcher:
    """Dispatch over the links given (by mask) and routers of this efficiency, step after step.

    The least loss is sought under the same rules as in the network as operated: every load is served if it can be,
    and local sources feed what they have. What is more than the loads need is taken by the external grid; that is a
    load there, served last, and losses of it are made up by the external source, so that nothing is burned.
    """

    def __init__(self, case: StudyCase, links: Bools, efficiency: Floats) -> None:
        self._case = case
        self._graph = graph_of_links(
            efficiency,
            case.link_a[links],
            case.link_b[links],
            case.resistance_ohm[links],
            case.voltage_v[links],
            case.ampacity_a[links],
        )
        self.fed = case.fed(links)
        self._loads = _Grouped(case.load_node, case.load_priority)
        local = np.flatnonzero(~case.source_is_external)
        self._local = local.astype(np.int32)
        self._local_groups = _Grouped(case.source_node[local], np.zeros(len(local), np.int32))
        self._source_node = np.append(self._local_groups.node, np.int32(0))
        self._load_node = np.append(self._loads.node, np.int32(0))
        # Local sources come first: they would feed whatever the network does.
        self._cost_per_mwh = np.append(np.zeros(len(self._local_groups.node)), 1.0)
        last = case.load_priority.min(initial=0) - 1
        self._priority = np.append(self._loads.kind, last).astype(np.int32)

    def solve(self, load_w: Floats, source_w: Floats) -> Answer:
        """``load_w`` and ``source_w`` in the order of the grid's loads and sources."""
        fed_load_w = np.where(self.fed[self._case.load_node], load_w, 0.0)
        local_w = source_w[self._local]
        fed_local_w = np.where(self.fed[self._case.source_node[self._local]], local_w, 0.0)
        grouped_w = self._loads.add_up(fed_load_w)
        offered_w = self._local_groups.add_up(fed_local_w)
        surplus_w = max(float(fed_local_w.sum() - fed_load_w.sum()), 0.0)
        external_w = float(source_w[self._case.source_is_external].sum())
        answer = dispatch(
            DispatchProblem(
                graph=self._graph,
                source_node=self._source_node,
                source_max_w=np.append(offered_w, external_w),
                load_node=self._load_node,
                load_power_w=np.append(grouped_w, surplus_w),
                source_cost_per_mwh=self._cost_per_mwh,
                load_priority=self._priority,
            )
        )
        if answer.status != "optimal":
            return Answer(np.nan, np.nan, np.nan, False)
        # Differences one by one: the rounding of two long sums would look like something unserved.
        lacking_w = grouped_w - answer.served_w[: len(grouped_w)]
        unused_w = offered_w - answer.generated_w[: len(offered_w)]
        lacking_w, curtailed_w = _noticed(lacking_w, grouped_w), _noticed(unused_w, offered_w)
        left_w = float(unused_w.sum() + external_w - answer.generated_w[-1])
        scarce = Cause.LINES if left_w >= lacking_w.sum() else Cause.SOURCES
        return Answer(
            loss_w=float(answer.generated_w.sum() - answer.served_w.sum()),
            unserved_w=float(lacking_w.sum() + (load_w - fed_load_w).sum()),
            curtailed_w=float(curtailed_w.sum() + (local_w - fed_local_w).sum()),
            converged=True,
            missing=self._missing(load_w, fed_load_w, lacking_w, grouped_w, scarce),
        )

    def _missing(
        self,
        load_w: Floats,
        fed_load_w: Floats,
        lacking_w: Floats,
        grouped_w: Floats,
        scarce: Cause,
    ) -> tuple[Missing, ...]:
        """By load: those that the solver need not tell apart lack the same part of what they ask for."""
        share = np.divide(lacking_w, grouped_w, out=np.zeros_like(lacking_w), where=grouped_w > 0.0)
        fed = self.fed[self._case.load_node]
        causes = [scarce if each else Cause.UNFED for each in fed]
        lacking_by_load_w = np.where(fed, fed_load_w * self._loads.spread(share), load_w)
        return missing_at(load_w, lacking_by_load_w, causes)


def _noticed(missing_w: Floats, asked_w: Floats) -> Floats:
    """What is missing, without the last digits of a solver."""
    return np.where(missing_w > _NOTICED * asked_w, missing_w, 0.0)


class _Grouped:
    """Things of one kind at one router as one: the solver need not tell them apart."""

    def __init__(self, node: Ints, kind: Ints) -> None:
        pairs, self._group = np.unique(np.stack([node, kind]), axis=1, return_inverse=True)
        self.node, self.kind = pairs.astype(np.int32)

    def add_up(self, values: Floats) -> Floats:
        sums: Floats = np.zeros(len(self.node))
        np.add.at(sums, self._group.ravel(), values)
        return sums

    def spread(self, values: Floats) -> Floats:
        """To each thing what its group has."""
        return values[self._group.ravel()]
