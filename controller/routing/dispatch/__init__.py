"""Dispatch: min-cost flow over many sources and sinks at once, with line and converter losses."""

from controller.routing.dispatch.binding_cut import BindingCut, binding_cut
from controller.routing.dispatch.decomposition import (
    Circuits,
    PlannedCircuit,
    circuits_of,
    decompose,
)
from controller.routing.dispatch.dispatcher import dispatch
from controller.routing.dispatch.figures import Figures, figures_of
from controller.routing.dispatch.problem import Dispatch, DispatchProblem, Prices

__all__ = [
    "BindingCut",
    "Circuits",
    "Dispatch",
    "DispatchProblem",
    "Figures",
    "PlannedCircuit",
    "Prices",
    "binding_cut",
    "circuits_of",
    "decompose",
    "dispatch",
    "figures_of",
]
