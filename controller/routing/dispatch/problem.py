"""What a dispatch is asked, and what it answers, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from controller.routing.flows.node_splitting import SplitGraph
from controller.routing.graph import Floats, Ints, PowerGraph
from digitalgrid.limits import MAX_PRICE_PER_MWH


@dataclass(frozen=True, slots=True)
class Prices:
    """How much of each cost counts. Money per MWh, or per kg of carbon; shares without a unit.

    ``loss_per_mwh`` prices every loss, of lines and of converters. Where it is 0, loss only breaks ties.
    """

    generation_share: float = 1.0
    toll_share: float = 1.0
    carbon_per_kg: float = 0.0
    loss_per_mwh: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0.0 <= value <= MAX_PRICE_PER_MWH:
                raise ValueError(
                    f"{name} is {value}; it must lie between 0 and {MAX_PRICE_PER_MWH:g}"
                )


@dataclass(frozen=True)
class DispatchProblem:
    """Sources (arrays of one length), loads (of another) and tolls on a graph.

    Units: W, money per MWh, kg of carbon per MWh. A load of higher ``load_priority`` is served first, strictly; within
    one priority, what is served is weighed by ``load_value_per_mwh``, and loads without value come last. Tolls are on
    received energy, by link (``toll_per_mwh[link]``); without them there are none. What the graph's ``load_a`` has
    reserved stands: newcomers pay for the losses that they add to it. Raises ValueError for figures that cannot be.
    """

    graph: PowerGraph
    source_node: Ints
    source_max_w: Floats
    load_node: Ints
    load_power_w: Floats
    source_cost_per_mwh: Floats = field(default_factory=lambda: np.zeros(0))
    source_carbon_kg_per_mwh: Floats = field(default_factory=lambda: np.zeros(0))
    load_priority: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    load_value_per_mwh: Floats = field(default_factory=lambda: np.zeros(0))
    toll_per_mwh: Floats = field(default_factory=lambda: np.zeros(0))
    prices: Prices = field(default_factory=Prices)

    def __post_init__(self) -> None:
        sources, loads = len(self.source_node), len(self.load_node)
        links = int(self.graph.link.max(initial=-1)) + 1
        self._fill("source_node", np.int32, sources)
        self._fill("load_node", np.int32, loads)
        self._fill("load_priority", np.int32, loads)
        for name, count in (
            ("source_max_w", sources),
            ("source_cost_per_mwh", sources),
            ("source_carbon_kg_per_mwh", sources),
            ("load_power_w", loads),
            ("load_value_per_mwh", loads),
            ("toll_per_mwh", links),
        ):
            self._fill(name, np.float64, count)
        for name in ("source_node", "load_node"):
            nodes = getattr(self, name)
            if len(nodes) and not 0 <= nodes.min() <= nodes.max() < self.graph.node_count:
                raise ValueError(f"{name} names nodes beyond the {self.graph.node_count} there are")
        for name in ("source_max_w", "load_power_w", "load_value_per_mwh", "toll_per_mwh"):
            if np.any(getattr(self, name) < 0.0):
                raise ValueError(f"{name} must be at least 0")

    def _fill(self, name: str, kind: npt.DTypeLike, count: int) -> None:
        values: Sequence[float] = getattr(self, name)
        array = np.zeros(count, kind) if len(values) == 0 else np.array(values, dtype=kind)
        if len(array) != count:
            raise ValueError(f"{name} has {len(array)} entries instead of {count}")
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{name} must be finite")
        object.__setattr__(self, name, array)

    @property
    def source_price_per_mwh(self) -> Floats:
        """What a source's energy costs under the prices, losses apart."""
        prices = self.prices
        carbon = prices.carbon_per_kg * self.source_carbon_kg_per_mwh
        return prices.generation_share * self.source_cost_per_mwh + carbon

    @property
    def arc_toll_per_mwh(self) -> Floats:
        return self.prices.toll_share * self.toll_per_mwh[self.graph.link]


def split_problem(split: SplitGraph, problem: DispatchProblem) -> DispatchProblem:
    """The same with limited converters as arcs, which cost no toll."""
    return replace(
        problem,
        graph=split.graph,
        load_node=split.outlet[problem.load_node],
        toll_per_mwh=np.append(problem.toll_per_mwh, 0.0)[np.maximum(split.link_before, -1)],
    )


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The answer. Arrays: by arc, by source, by load, and ``price_per_mwh`` by router (0 where power cannot come).

    Balance holds to rounding: what a router's converter puts out is exactly what is sent and served there. Arcs'
    figures are those of this dispatch alone, on top of what stood before.

    Where the last digits cannot be had, ``status`` is "feasible": the dispatch is within all limits, and what it costs,
    with unserved power dearer than all else, is proven to be at most ``gap`` times that cost above the optimum. Where
    not even that was found it is "not converged", and all figures are 0. ``residual`` says by how much balance or
    optimality was missed, relative to the largest load.

    ``exact`` is False where surplus had to be curtailed that sources would have paid to get rid of: the optimum
    of the equations that allow no waste is then not known, and ``note`` says so. ``surplus_w`` is how much it was.
    """

    status: Literal["optimal", "feasible", "not converged"]
    received_w: Floats
    sent_w: Floats
    generated_w: Floats
    served_w: Floats
    price_per_mwh: Floats
    exact: bool = True
    note: str = ""
    surplus_w: float = 0.0
    residual: float = 0.0
    iterations: int = 0
    gap: float = 0.0
