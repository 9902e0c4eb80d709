"""A dispatch in sums."""

from dataclasses import dataclass

import numpy as np

from controller.routing.dispatch.problem import Dispatch, DispatchProblem
from digitalgrid.units import W_PER_MEGAWATT


@dataclass(frozen=True, slots=True)
class Figures:
    """Power in W. Money and carbon are for an hour of it, tolls included, whatever the prices of the problem were."""

    served_w: float
    generated_w: float
    line_loss_w: float
    converter_loss_w: float
    cost_per_h: float
    carbon_kg_per_h: float

    @property
    def loss_w(self) -> float:
        return self.line_loss_w + self.converter_loss_w


def figures_of(problem: DispatchProblem, answer: Dispatch) -> Figures:
    """Losses are those of this dispatch alone, on top of what stood before; each is worked out by itself."""
    graph = problem.graph
    entering_w = np.zeros(graph.node_count)
    np.add.at(entering_w, graph.head, answer.received_w)
    np.add.at(entering_w, problem.source_node, answer.generated_w)
    generation_cost = problem.source_cost_per_mwh @ answer.generated_w
    toll = problem.toll_per_mwh[graph.link] @ answer.received_w
    carbon_kg = problem.source_carbon_kg_per_mwh @ answer.generated_w
    return Figures(
        served_w=float(answer.served_w.sum()),
        generated_w=float(answer.generated_w.sum()),
        line_loss_w=float((answer.sent_w - answer.received_w).sum()),
        converter_loss_w=float(((1.0 - graph.efficiency) * entering_w).sum()),
        cost_per_h=float(generation_cost + toll) / W_PER_MEGAWATT,
        carbon_kg_per_h=float(carbon_kg) / W_PER_MEGAWATT,
    )
