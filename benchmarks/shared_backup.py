"""Shared backups (SBPP) against dedicated ones, on networks that pandapower ships, by the controller's own admission.

``shared-backup``: what standbys reserve of lines without limits. The real power of each load is dealt into 3 or 4
circuits from any source, in random order; sources have their real limits. What crosses no line has no standby.
Ours is what a controller reserves for requests with ``protect``, the peer what it reserves for those with ``dedicated``
too: the path of least injection, and of the standbys beside it the one that reserves least. Both serve the same
circuits: what one of them has no room or no second way for, the other does not get either (``skipped``).

``shared-backup-fit``: how many circuits fit into lines of 60 MW, all of one size, for loads drawn by their real power,
until hardly one more does. Sources do not bind. The figure is what the network's lines carry, for each that fits.

``agree``: every link, router and source was tried as a failure, and worked out anew, circuit by circuit: nothing
carries more than it may, no hop needs more than was reserved for it, nobody who was to be covered goes without.

``python -m benchmarks.shared_backup pandapower:case30 --seeds 3`` does the same for any network.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from time import perf_counter

import click
import numpy as np

from benchmarks.harness import Row
from controller.core.admission.admission import Admission
from controller.core.admission.alternatives import Alternatives
from controller.core.admission.protected import ProtectedAdmission, Served
from controller.core.admission.standby_search import StandbySearch
from controller.core.circuits.disjointness import kept_off, risk_groups
from controller.core.circuits.failures import Failure, FailureKind, stopping
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import ResourceKind
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.network.link import LinkState, LinkView
from controller.core.network.view import GridView, RouterView
from controller.routing.warm_up import compile_kernels
from digitalgrid.gridfile import Grid
from digitalgrid.model import CircuitGeneration, LoadAdvertisement, SourceAdvertisement
from digitalgrid.physics import added_line_loss_w
from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.imported import Options
from topologies.importers.specification import import_network

# Random orders of each: one by itself says little of a network of 14 routers.
_NETWORKS = {"pandapower:case14": 12, "pandapower:case118": 2}
_FULL_ORDERS = 12
_LINE_W = 60e6
# Sources that never bind, and loads that take whatever comes.
_PLENTY = 1e3
# Circuits offered to each load, on average, to fill the network.
_OFFERED = 20
_ROUNDING = 1e-6


def rows(full: bool) -> Iterator[Row]:
    for name, orders in _NETWORKS.items():
        yield from compared(name, range(1, 1 + (_FULL_ORDERS if full else orders)))


def compared(name: str, seeds: Sequence[int]) -> list[Row]:
    """Both rows of a network, over the orders that these seeds give, together.

    Raises ValueError for a network that is not known, or where no circuit can be protected.
    """
    compile_kernels()
    grid = import_network(name, Options()).grid
    reserve = [_reserve(grid, seed) for seed in seeds]
    fit = [_fit(grid, seed) for seed in seeds]
    ledgers = [ledger for run in (*reserve, *fit) for ledger in run[:2]]
    if not all(isinstance(each, Ledger) and each.protected for each in ledgers):
        raise ValueError(f"{name}: no circuit of one of these orders can be protected there")
    return [_reserve_row(name, grid, reserve), _fit_row(name, grid, fit)]


@dataclass
class Ledger:
    """A controller's admission by itself: what it admits is reserved, and remembered in this order."""

    view: GridView
    dedicated: bool
    admitted: list[Served] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reservations = Reservations()
        admission = Admission(self.reservations)
        admission.adopt(self.view)
        self._ids = count(1)
        self._admission = ProtectedAdmission(
            admission, Alternatives(admission), StandbySearch(admission)
        )

    def admit(self, sink_id: str, power_w: float) -> Served | None:
        """A protected circuit; one without a standby where it crosses no line; None where there is no room for both."""
        found = self._ask(sink_id, power_w, None)
        if found is not None and found.route.links:
            # What crosses no line needs no second way.
            self._admission.give_back([found])
            begin_s = perf_counter()
            found = self._ask(sink_id, power_w, Against.ROUTER)
            self.seconds.append(perf_counter() - begin_s)
        if found is not None:
            self.admitted.append(found)
        return found

    def _ask(self, sink_id: str, power_w: float, against: Against | None) -> Served | None:
        dedicated = self.dedicated and against is not None
        request = PowerRequest("", sink_id, power_w, protect=against, dedicated=dedicated)
        try:
            (served,) = self._admission.admit(request, self._new_key)
        except Refusal:
            return None
        return served

    def _new_key(self) -> CircuitGeneration:
        return CircuitGeneration(next(self._ids), 1)

    def take_back(self) -> None:
        """The last one is not served after all."""
        self._admission.give_back([self.admitted.pop()])

    @property
    def protected(self) -> int:
        return sum(each.standby is not None for each in self.admitted)

    def working_w(self) -> float:
        """Power times lines, of working routes; it is the same unit for all voltages."""
        return sum(link.received_w for each in self.admitted for link in each.route.links)

    def backup_w(self) -> float:
        """What is reserved of lines beyond that."""
        links = self.view.links
        reserved_w = (
            self.reservations.total(each) * links[each.id].voltage_v
            for each in self.reservations.resources()
            if each.kind is ResourceKind.LINK_DIRECTION
        )
        return sum(reserved_w) - self.working_w()

    def lost_w(self) -> float:
        return sum(each.route.injected_w - each.route.power_w for each in self.admitted)


def _reserve(grid: Grid, seed: int) -> tuple[Ledger, Ledger, int]:
    shared, dedicated = (Ledger(_view(grid), each) for each in (False, True))
    skipped = 0
    for sink_id, power_w in _dealt(grid, seed):
        served = [ledger.admit(sink_id, power_w) for ledger in (shared, dedicated)]
        skipped += None in served
        for ledger, each in zip((shared, dedicated), served, strict=True):
            if each is not None and None in served:
                ledger.take_back()
    return shared, dedicated, skipped


def _dealt(grid: Grid, seed: int) -> list[tuple[str, float]]:
    """Circuits that share out the loads' power unequally."""
    rng = np.random.default_rng(seed)
    dealt = [
        (load.id, load.power_w * float(share))
        for load in grid.loads
        if load.power_w > 0.0
        for share in rng.dirichlet(np.full(rng.integers(3, 5), 3.0))
    ]
    return [dealt[index] for index in rng.permutation(len(dealt))]


def _fit(grid: Grid, seed: int) -> tuple[Ledger, Ledger]:
    beside_sources = {source.router for source in grid.sources}
    loads = [
        each for each in grid.loads if each.router not in beside_sources and each.power_w > 0.0
    ]
    powers_w = np.array([each.power_w for each in loads])
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(loads), _OFFERED * len(loads), p=powers_w / powers_w.sum())
    # Three or four circuits a load, as above.
    power_w = float(np.mean([each.power_w for each in grid.loads])) / 3.5
    both = tuple(Ledger(_view(grid, _LINE_W, _PLENTY), each) for each in (False, True))
    for index in drawn:
        for ledger in both:
            ledger.admit(loads[index].id, power_w)
    return both[0], both[1]


def _view(grid: Grid, line_w: float | None = None, times: float = 1.0) -> GridView:
    return GridView(
        1,
        {
            each.id: RouterView(each.id, each.efficiency, 1, True, True, holds_pools=True)
            for each in grid.routers
        },
        {
            each.id: LinkView(
                each.id,
                each.a,
                each.b,
                each.resistance_ohm,
                each.voltage_v,
                each.ampacity_a if line_w is None else line_w / each.voltage_v,
                0.0,
                LinkState.UP,
                frozenset(each.risk_groups),
            )
            for each in grid.links
        },
        {
            each.id: (each.router, SourceAdvertisement(each.id, each.max_power_w * times))
            for each in grid.sources
        },
        {
            each.id: (each.router, LoadAdvertisement(each.id, each.power_w * times))
            for each in grid.loads
        },
    )


# Every single failure, worked out anew


@dataclass(frozen=True, slots=True)
class Trial:
    """What single failures brought to light, over all that were tried."""

    tried: int
    over_subscribed: int
    unserved: int


def tried(
    view: GridView, admitted: Sequence[tuple[Route, Route | None]], against: Against
) -> Trial:
    """Let each link, router, risk group and source fail by itself, with circuits in the order of their admission.

    What is hit still takes its room: sinks leave a path before its routers do.
    """
    groups = {group for each in view.links.values() for group in each.risk_groups}
    failures = [
        *(Failure(FailureKind.LINK, each) for each in view.links),
        *(Failure(FailureKind.ROUTER, each) for each in view.routers),
        *(Failure(FailureKind.RISK_GROUP, each) for each in sorted(groups)),
        *(Failure(FailureKind.SOURCE, each) for each in view.sources),
    ]
    over = unserved = 0
    stops = {
        id(route): stopping(route, lambda link_id: view.links[link_id].risk_groups)
        for pair in admitted
        for route in pair
        if route is not None
    }
    for failure in failures:
        active: list[tuple[int, Route]] = []
        for number, (working, standby) in enumerate(admitted):
            active.append((number, working))
            if standby is None or failure not in stops[id(working)]:
                continue
            if failure not in stops[id(standby)]:
                active.append((number, standby))
            elif failure in _promised(view, working, against):
                unserved += 1
        over += _over_subscriptions(view, active)
    return Trial(len(failures), over, unserved)


def _pairs(admitted: Sequence[Served]) -> list[tuple[Route, Route | None]]:
    return [(each.route, each.standby_route) for each in admitted]


def _promised(view: GridView, working: Route, against: Against) -> set[Failure]:
    """What a standby must outlive."""
    ids = kept_off(view, working, against, same_start=True)
    kinds = (FailureKind.LINK, FailureKind.ROUTER)
    survived = {Failure(kind, each) for kind in kinds for each in ids}
    if against is Against.RISK:
        groups = risk_groups(view, [link.link_id for link in working.links])
        survived |= {Failure(FailureKind.RISK_GROUP, each) for each in groups}
    return survived


def _over_subscriptions(view: GridView, active: Sequence[tuple[int, Route]]) -> int:
    """Lines and sources that carry more than they may, and hops that need more than was reserved for them."""
    found = 0
    way_a: dict[tuple[str, str], float] = {}
    # Of a working route and its standby from one source only the larger is drawn.
    injected_w: dict[str, dict[int, float]] = {}
    for number, route in active:
        for link in route.links:
            way = (link.link_id, link.from_router_id)
            before_a = way_a.get(way, 0.0)
            lost_w = added_line_loss_w(link.resistance_ohm, before_a, link.current_a)
            found += link.received_w + lost_w > link.sent_w * (1.0 + _ROUNDING)
            way_a[way] = before_a + link.current_a
        drawn_w = injected_w.setdefault(route.source_id, {})
        drawn_w[number] = max(drawn_w.get(number, 0.0), route.injected_w)
    for each in view.links.values():
        both_a = sum(way_a.get((each.link_id, end), 0.0) for end in (each.a, each.b))
        found += both_a > each.ampacity_a * (1.0 + _ROUNDING)
    for source_id, drawn_w in injected_w.items():
        most_w = view.sources[source_id][1].max_power_w
        found += sum(drawn_w.values()) > most_w * (1.0 + _ROUNDING)
    return found


# Rows


def _reserve_row(name: str, grid: Grid, runs: Sequence[tuple[Ledger, Ledger, int]]) -> Row:
    each_ratio = [ours.backup_w() / peer.backup_w() for ours, peer, _ in runs]
    both = [run[0] for run in runs], [run[1] for run in runs]
    shared_w, dedicated_w = (sum(each.backup_w() for each in side) for side in both)
    whole_w = [sum(each.backup_w() + each.working_w() for each in side) for side in both]
    lost_w = [sum(each.lost_w() for each in side) for side in both]
    return _row(
        "shared-backup",
        grid,
        f"{name}, {len(runs)} orders of some {runs[0][0].protected} protected circuits",
        [run[0] for run in runs],
        shared_w / W_PER_MEGAWATT,
        dedicated_w / W_PER_MEGAWATT,
        {
            "unit": "MW·lines",
            "reserve_ratio": shared_w / dedicated_w,
            "least_ratio": min(each_ratio),
            "largest_ratio": max(each_ratio),
            "working_and_backup_ratio": whole_w[0] / whole_w[1],
            "loss_ratio": lost_w[0] / lost_w[1],
            "skipped": sum(skipped for _, _, skipped in runs),
        },
    )


def _fit_row(name: str, grid: Grid, runs: Sequence[tuple[Ledger, Ledger]]) -> Row:
    lines_w = len(grid.links) * _LINE_W * len(runs) / W_PER_MEGAWATT
    shared, dedicated = (sum(run[side].protected for run in runs) for side in (0, 1))
    return _row(
        "shared-backup-fit",
        grid,
        f"{name}, lines of {_LINE_W / W_PER_MEGAWATT:g} MW, {len(runs)} orders",
        [run[0] for run in runs],
        lines_w / shared,
        lines_w / dedicated,
        {
            "unit": "MW·lines each",
            "fit": shared,
            "fit_dedicated": dedicated,
            "fit_ratio": shared / dedicated,
        },
    )


def _row(
    name: str,
    grid: Grid,
    instance: str,
    ours: Sequence[Ledger],
    figure: float,
    peer: float,
    extra: dict[str, float | int | str],
) -> Row:
    trials = [tried(each.view, _pairs(each.admitted), Against.ROUTER) for each in ours]
    extra |= {
        "failures_tried": sum(each.tried for each in trials),
        "over_subscriptions": sum(each.over_subscribed for each in trials),
        "covered_unserved": sum(each.unserved for each in trials),
        "admission_s": median(second for each in ours for second in each.seconds),
    }
    sound = not (extra["over_subscriptions"] or extra["covered_unserved"])
    return Row(name, len(grid.routers), instance, figure, {"dedicated": peer}, sound, extra)


@click.command("shared-backup")
@click.argument("network")
@click.option("--seeds", type=click.IntRange(1), default=4, help="How many orders are drawn.")
@click.option("--first", type=int, default=1, help="The seed of the first.")
def main(network: str, seeds: int, first: int) -> None:
    """Shared against dedicated backups on NETWORK, such as pandapower:case30."""
    try:
        found = compared(network, range(first, first + seeds))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for row in found:
        click.echo(f"{row.name}, {row.instance}")
        for key, value in row.extra.items():
            click.echo(f"  {key}: {value:.4g}" if isinstance(value, float) else f"  {key}: {value}")
    sys.exit(0 if all(row.agree for row in found) else 1)


if __name__ == "__main__":
    main()
