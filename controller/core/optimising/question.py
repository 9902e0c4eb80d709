"""A dispatch as values: what is ordered, what the solver is asked, and what it answers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.optimising.nodal_prices import nodal_prices
from controller.routing.dispatch import (
    BindingCut,
    DispatchProblem,
    Figures,
    PlannedCircuit,
    Prices,
    binding_cut,
    decompose,
    dispatch,
    figures_of,
)
from digitalgrid.reasons import Reason

# Share of what a load asked for below which what is missing is rounding.
_NOTHING = 1e-6
# Loads of one dispatch for each of which a minimum cut tells what holds it up; a cut takes milliseconds.
_MAX_CUTS = 256


@dataclass(frozen=True, slots=True)
class Demand:
    """What a load shall be delivered; None: all that it takes beside what it has."""

    load_id: str
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class DispatchOrder:
    """No demands: every load. No sources: any. ``one_by_one``: loads are admitted or refused each by itself."""

    request_id: str
    demands: tuple[Demand, ...] = ()
    source_ids: tuple[str, ...] = ()
    prices: Prices = field(default_factory=Prices)
    one_by_one: bool = False
    # Who asks, which is no part of what is asked.
    owner: str = ""

    def request_id_of(self, load_id: str) -> str:
        return f"{self.request_id}/{load_id}"

    def fingerprint(self) -> str:
        """Equal for equal content; tells a retry from a reused request id."""
        content = asdict(self) | {"request_id": ""}
        del content["owner"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def demanded(order: DispatchOrder) -> str:
    """What a dispatch asks for, in the words of the audit log."""
    loads = [
        each.load_id if each.power_w is None else f"{each.load_id}={each.power_w}"
        for each in order.demands
    ]
    how = "one by one" if order.one_by_one else "all or none"
    return f"{' '.join(loads) or 'all loads'}, {how}"


class DispatchedRequest(PowerRequest, frozen=True):
    """One load's part of a dispatch. Its power comes from the solver, so the order alone tells a retry."""

    order_fingerprint: str = ""

    def fingerprint(self) -> str:
        return f"dispatch {self.order_fingerprint}"


@dataclass(frozen=True, slots=True)
class DispatchQuestion:
    """What the solver is asked, and the ids that its indices stand for. A hop is (link, router that sends), by arc."""

    problem: DispatchProblem
    source_ids: tuple[str, ...]
    load_ids: tuple[str, ...]
    hops: tuple[tuple[str, str], ...]
    router_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DispatchAnswer:
    """The plan in figures, the circuits that carry it, in the order of their admission, and what it leaves out.

    ``unserved_w`` is by load; the links and sources are the cut that binds all of it, ``cuts`` that of each load that
    gets nothing.
    """

    figures: Figures
    circuits: tuple[PlannedCircuit, ...]
    unserved_w: dict[str, float]
    bottleneck_link_ids: tuple[str, ...]
    bottleneck_source_ids: tuple[str, ...]
    note: str = ""
    cuts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bottleneck_router_ids: tuple[str, ...] = ()
    # Money for a MWh more, by router; see :func:`~controller.core.optimising.nodal_prices.nodal_prices`.
    prices_per_mwh: dict[str, float] = field(default_factory=dict)
    # Of the interior point; none where a linear program did.
    iterations: int = 0


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What became of one load: the routes that it got, and but for a dry run their circuits; or why it got none."""

    request_id: str
    load_id: str
    circuits: tuple[Circuit, ...] = ()
    routes: tuple[Route, ...] = ()
    refusal: Refusal | None = None


def answer(question: DispatchQuestion) -> DispatchAnswer:
    """Solve; this is what takes a while. Raises Refusal where the solver does not converge."""
    problem = question.problem
    found = dispatch(problem)
    if found.status != "optimal":
        raise Refusal(
            Reason.NOT_CONVERGED,
            f"the dispatch did not converge (off by {found.residual:.3g} of the largest load);"
            " nothing is changed; ask for fewer loads at a time, or try again",
        )
    missing_w = problem.load_power_w - found.served_w
    unserved = np.flatnonzero(missing_w > _NOTHING * problem.load_power_w)
    cut = binding_cut(problem, found, unserved)
    link_ids = dict(
        zip(problem.graph.link.tolist(), (hop[0] for hop in question.hops), strict=True)
    )
    return DispatchAnswer(
        figures_of(problem, found),
        tuple(planned for planned in decompose(problem, found) if not planned.is_residue),
        {question.load_ids[load]: float(missing_w[load]) for load in unserved},
        tuple(link_ids[link] for link in cut.links),
        tuple(question.source_ids[source] for source in cut.sources),
        found.note,
        {
            question.load_ids[load]: _named(question, binding_cut(problem, found, [load]), link_ids)
            for load in unserved[found.served_w[unserved] == 0.0][:_MAX_CUTS]
        },
        tuple(question.router_ids[node] for node in cut.converters),
        {question.router_ids[node]: price for node, price in nodal_prices(problem, found).items()},
        found.iterations,
    )


def _named(
    question: DispatchQuestion, cut: BindingCut, link_ids: Mapping[int, str]
) -> tuple[str, ...]:
    links = (link_ids[link] for link in cut.links)
    sources = (question.source_ids[source] for source in cut.sources)
    return (*links, *sources, *(question.router_ids[node] for node in cut.converters))
