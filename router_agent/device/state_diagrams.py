"""State diagrams of the router's machines, from the tables that the code runs on."""

from digitalgrid.model import FlowState
from digitalgrid.state_diagram import state_diagram
from router_agent.device.adjacency import ADJACENCY_STATES, AdjacencyState
from router_agent.device.flow_states import FLOW_STATES, PLAYOUTS, Playout
from router_agent.device.selector import SELECTIONS, Role


def flow_diagram() -> str:
    return state_diagram(FLOW_STATES, [FlowState.SILENT], [FlowState.DRAINED])


def playout_diagram() -> str:
    return state_diagram(PLAYOUTS, [Playout.WAITING], [])


def adjacency_diagram() -> str:
    return state_diagram(ADJACENCY_STATES, [AdjacencyState.NO_CARRIER], [])


def selection_diagram() -> str:
    return state_diagram(SELECTIONS, [Role.WORKING], [])


if __name__ == "__main__":
    # `python -m` prints what is to be pasted into the documentation.
    print(flow_diagram(), playout_diagram(), adjacency_diagram(), selection_diagram(), sep="\n\n")  # noqa: T201
