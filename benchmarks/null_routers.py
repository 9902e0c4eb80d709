"""Routers that move no power: they take every message, answer each of them well and at once, and say what they hold.

They stand in the daemon's own process, so that what is measured is the controller; a sink says that it has its power
as soon as it is committed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from benchmarks.instances import VOLTAGE_V, mesh
from controller.core.messages import (
    Abort,
    CircuitStatus,
    CircuitTable,
    Commit,
    Drain,
    ReadTable,
    Stage,
    ToRouter,
    TransactionResult,
    Withdraw,
)
from controller.runtime.runtime import Runtime
from digitalgrid.gridfile import Grid, load_grid
from digitalgrid.model import (
    CircuitGeneration,
    FlowState,
    HopSnapshot,
    LinkAdvertisement,
    LoadAdvertisement,
    Operation,
    ResultCode,
    RouterLsa,
    SourceAdvertisement,
)

# Nothing but lines limits anybody.
_PLENTY_W = 1e12
# Well before an advertisement has aged out.
_REFRESH_S = 30.0
_OPERATIONS = {
    Stage: Operation.STAGE,
    Commit: Operation.COMMIT,
    Abort: Operation.ABORT,
    Drain: Operation.DRAIN,
    Withdraw: Operation.WITHDRAW,
}


@dataclass(slots=True)
class _Router:
    lsa: RouterLsa
    staged: dict[int, tuple[HopSnapshot, ...]] = field(default_factory=dict)
    hops: dict[CircuitGeneration, HopSnapshot] = field(default_factory=dict)


class NullRouters:
    """All routers of a network, attached to one runtime. What came in one turn of its loop is answered in the next."""

    def __init__(self, runtime: Runtime, lsas: Iterable[RouterLsa]) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._routers = {lsa.router_id: _Router(lsa) for lsa in lsas}
        # Of a line that changes its ends alone have something to say: to look for them is not what is measured.
        self._ends: defaultdict[str, list[_Router]] = defaultdict(list)
        for router in self._routers.values():
            for link in router.lsa.links:
                self._ends[link.link_id].append(router)
        self._inbox: list[tuple[str, ToRouter]] = []

    def attach(self) -> None:
        """All of them connect, advertise, and get in step."""
        for router_id, router in self._routers.items():
            self._runtime.attach(router_id, partial(self.take, router_id))
            self._advertise(router.lsa)
            self._get_in_step(router_id)
        self._loop.call_later(_REFRESH_S, self._refresh)

    def _refresh(self) -> None:
        for router in self._routers.values():
            router.lsa = replace(router.lsa, seq=router.lsa.seq + 1)
            self._advertise(router.lsa)
        self._loop.call_later(_REFRESH_S, self._refresh)

    def cut(self, link_id: str) -> None:
        """Both ends of a line say that it is down."""
        self.set_link(link_id, up=False)

    def set_link(self, link_id: str, *, up: bool) -> None:
        """Both ends of a line say how it is."""
        for router in self._ends[link_id]:
            links = tuple(
                replace(link, up=up) if link.link_id == link_id else link
                for link in router.lsa.links
            )
            router.lsa = replace(router.lsa, links=links, seq=router.lsa.seq + 1)
            self._advertise(router.lsa)

    def _advertise(self, lsa: RouterLsa) -> None:
        self._runtime.tell(lambda core, now_ns: core.on_lsa(lsa, now_ns))

    def _get_in_step(self, router_id: str) -> None:
        self._runtime.tell(lambda core, now_ns: core.on_sync_done(router_id, now_ns))

    def _measure(self, router_id: str, status: CircuitStatus) -> None:
        self._runtime.tell(lambda core, now_ns: core.on_status(router_id, status, now_ns))

    def take(self, router_id: str, message: ToRouter) -> None:
        """What the controller says; answered in the next turn of the loop."""
        if not self._inbox:
            self._loop.call_soon(self._answer_all)
        self._inbox.append((router_id, message))

    def _answer_all(self) -> None:
        inbox, self._inbox = self._inbox, []
        for router_id, message in inbox:
            self._answer(router_id, message)

    def _answer(self, router_id: str, message: ToRouter) -> None:
        router = self._routers[router_id]
        if isinstance(message, ReadTable):
            table = CircuitTable(message.read_id, 1, tuple(router.hops.values()))
            self._compare(router_id, table)
            return
        result = TransactionResult(message.txn_id, _OPERATIONS[type(message)], ResultCode.OK)
        self._runtime.tell(lambda core, now_ns: core.on_result(router_id, result, now_ns))
        for key, state in _carry_out(router, message):
            self._measure(router_id, CircuitStatus(key, state))

    def _compare(self, router_id: str, table: CircuitTable) -> None:
        """A slice in each turn of the loop, as that of a router in a session is compared."""
        found = self._runtime.tell(
            lambda core, now_ns: core.on_table_slice(router_id, table, now_ns)
        )
        if found is not None and not found.whole:
            self._loop.call_soon(self._compare, router_id, table)


def _carry_out(router: _Router, message: ToRouter) -> list[tuple[CircuitGeneration, FlowState]]:
    """What a sink measures after it."""
    match message:
        case Stage():
            router.staged[message.txn_id] = message.hops
        case Commit():
            hops = router.staged.pop(message.txn_id, ())
            router.hops.update((hop.key, hop) for hop in hops)
            return [(hop.key, FlowState.ACTUATED) for hop in hops if hop.load_id]
        case Abort():
            router.staged.pop(message.txn_id, None)
        case Drain():
            return [(key, FlowState.DRAINED) for key in message.circuits]
        case Withdraw():
            for key in message.circuits:
                router.hops.pop(key, None)
    return []


def mesh_lsas(n: int, seed: int) -> list[RouterLsa]:
    """A random network: a load at every router, a source at every tenth."""
    grid = mesh(n, seed, 0.1)
    links: list[list[LinkAdvertisement]] = [[] for _ in range(n)]
    figures = np.stack((grid.resistance_ohm, grid.ampacity_a), axis=1).tolist()
    for a, b, (ohm, ampere) in zip(grid.a.tolist(), grid.b.tolist(), figures, strict=True):
        for here, there in ((a, b), (b, a)):
            links[here].append(LinkAdvertisement(f"r{a}-r{b}", f"r{there}", ohm, VOLTAGE_V, ampere))
    sources = set(grid.source_nodes.tolist())
    return [
        RouterLsa(
            f"r{node}",
            1,
            1,
            float(grid.efficiency[node]),
            tuple(links[node]),
            (SourceAdvertisement(f"source{node}", _PLENTY_W),) if node in sources else (),
            (LoadAdvertisement(f"load{node}", _PLENTY_W),),
        )
        for node in range(n)
    ]


def grid_lsas(path: str) -> list[RouterLsa]:
    """The network of a grid file."""
    grid = load_grid(path)
    return [
        RouterLsa(
            router.id,
            1,
            1,
            router.efficiency,
            _links_at(grid, router.id),
            tuple(
                SourceAdvertisement(each.id, each.max_power_w, each.cost_per_mwh)
                for each in grid.sources
                if each.router == router.id
            ),
            tuple(
                LoadAdvertisement(each.id, each.power_w, each.priority)
                for each in grid.loads
                if each.router == router.id
            ),
        )
        for router in grid.routers
    ]


def _links_at(grid: Grid, router_id: str) -> tuple[LinkAdvertisement, ...]:
    return tuple(
        LinkAdvertisement(
            link.id,
            link.b if router_id == link.a else link.a,
            link.resistance_ohm,
            link.voltage_v,
            link.ampacity_a,
        )
        for link in grid.links
        if router_id in (link.a, link.b)
    )


def load_ids(lsas: Iterable[RouterLsa]) -> list[str]:
    return [load.load_id for lsa in lsas for load in lsa.loads]


def networks(full: bool) -> Mapping[str, tuple[int, list[RouterLsa]]]:
    """Networks by name, with their sizes: nine routers, and random ones up to a thousand."""
    sizes = (100, 1_000) if full else (1_000,)
    nine = grid_lsas("topologies/elan9.grid.yaml")
    return {
        "elan9": (len(nine), nine),
        **{f"mesh n={size} seed=1": (size, mesh_lsas(size, 1)) for size in sizes},
    }
