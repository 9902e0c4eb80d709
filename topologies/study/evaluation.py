"""Evaluation of time steps, as operated (power flow) and with power routers (dispatch)."""

from dataclasses import dataclass

import numpy as np

from controller.routing.graph import Floats
from topologies.study.as_operated import AsOperated
from topologies.study.case import StudyCase
from topologies.study.missing import Cause, Missing, missing_at, to_text
from topologies.study.with_routers import Dispatcher

KIRCHHOFF = "kirchhoff"
CURTAILED = "curtailed"
FAILED = "not converged"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step, in W. ``load_w`` is what was asked, ``local_w`` what local sources could feed.

    ``operation`` says how the network as operated was found: "kirchhoff", from the loads alone; "curtailed", a line
    would have been overloaded, so as little as possible was shed; "not converged". ``routing`` is "optimal" or
    "not converged". Figures of what did not converge are nan. What each load lacked, and why, is as
    :func:`topologies.study.missing.to_text` writes it.
    """

    step: int
    load_w: float
    local_w: float
    operated_loss_w: float
    operated_unserved_w: float
    operated_curtailed_w: float
    operation: str
    routers_loss_w: float
    routers_unserved_w: float
    routers_curtailed_w: float
    routing: str
    operated_missing: str = ""
    routers_missing: str = ""


class Evaluation:
    """Evaluates steps of one network; holds what can be prepared once."""

    def __init__(self, case: StudyCase) -> None:
        self._case = case
        self._as_operated = AsOperated(case)
        # Shedding as little as possible is a matter of choice, which the same dispatch makes, without power routers.
        self._shedding = Dispatcher(case, ~case.link_is_tie, np.ones(case.node_count))
        every_link = np.ones(len(case.link_a), dtype=np.bool_)
        self._routing = Dispatcher(case, every_link, case.efficiency)

    def evaluate(self, steps: list[int], load_w: Floats, source_w: Floats) -> list[StepResult]:
        """``load_w[i]`` and ``source_w[i]`` are those of ``steps[i]``, in the order of the grid's."""
        case, local = self._case, ~self._case.source_is_external
        needed_w = np.zeros((len(steps), case.node_count))
        np.add.at(needed_w.T, case.load_node, load_w.T)
        np.subtract.at(needed_w.T, case.source_node[local], source_w.T[local])
        operation = self._as_operated.flows(needed_w)
        dark_load_w = load_w[:, ~self._as_operated.fed[case.load_node]].sum(axis=1)
        dark = local & ~self._as_operated.fed[case.source_node]
        dark_local_w = source_w[:, dark].sum(axis=1)
        results = []
        for i, step in enumerate(steps):
            operated = (
                float(operation.loss_w[i]),
                float(dark_load_w[i]),
                float(dark_local_w[i]),
                KIRCHHOFF,
            )
            missing = self._dark(load_w[i])
            if not operation.converged[i]:
                operated, missing = (np.nan, np.nan, np.nan, FAILED), ()
            elif operation.overloaded[i]:
                operated, missing = self._shed(load_w[i], source_w[i])
            routed = self._routing.solve(load_w[i], source_w[i])
            results.append(
                StepResult(
                    step,
                    float(load_w[i].sum()),
                    float(source_w[i, local].sum()),
                    *operated,
                    routed.loss_w,
                    routed.unserved_w,
                    routed.curtailed_w,
                    "optimal" if routed.converged else FAILED,
                    to_text(missing),
                    to_text(routed.missing),
                )
            )
        return results

    def _dark(self, load_w: Floats) -> tuple[Missing, ...]:
        """What loads lack that no line feeds as the network is operated."""
        lacking_w = np.where(self._as_operated.fed[self._case.load_node], 0.0, load_w)
        return missing_at(load_w, lacking_w, [Cause.UNFED] * len(load_w))

    def _shed(
        self, load_w: Floats, source_w: Floats
    ) -> tuple[tuple[float, float, float, str], tuple[Missing, ...]]:
        answer = self._shedding.solve(load_w, source_w)
        how = CURTAILED if answer.converged else FAILED
        return (answer.loss_w, answer.unserved_w, answer.curtailed_w, how), answer.missing
