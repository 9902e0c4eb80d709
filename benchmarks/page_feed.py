"""A played controller for the operator's page: any grid with circuits on it, told as `controller/web` tells them.

What the page costs a browser is measured apart from what telling it costs a daemon, and is the same in every run.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from time import time
from typing import Any

from digitalgrid.gridfile import Grid

COLUMNS: dict[str, tuple[str, ...]] = {
    "routers": ("router_id", "connected", "late_ms", "at", "efficiency", "profile", "admin"),
    "links": (
        "link_id",
        "a_router_id",
        "b_router_id",
        "up",
        "silent",
        "resistance_ohm",
        "voltage_v",
        "ampacity_a",
        "cost_per_mwh",
        "reserved_a_to_b_a",
        "reserved_b_to_a_a",
        "risk_groups",
        "via",
        "admin",
    ),
    "sources": ("source_id", "router_id", "max_power_w", "reserved_w", "renewable"),
    "loads": ("load_id", "router_id", "max_power_w", "reserved_w", "priority"),
    "circuits": (
        "circuit_id",
        "request_id",
        "state",
        "reason",
        "source_id",
        "sink_id",
        "router_ids",
        "link_ids",
        "power_w",
        "injected_w",
        "loss_fraction",
        "hold_priority",
    ),
}
# Rows of one event, as of a daemon that writes in turns.
_AT_ONCE = 600


@dataclass(slots=True)
class Circuit:
    """On the shortest path, which is enough to look at."""

    circuit_id: int
    source_id: str
    sink_id: str
    router_ids: tuple[str, ...]
    link_ids: tuple[str, ...]
    power_w: float
    state: str = "active"


class PlayedNetwork:
    """A grid with ``circuits`` on it, which change at random as ``seed`` says."""

    def __init__(self, grid: Grid, circuits: int, seed: int = 1) -> None:
        self._grid = grid
        self._random = random.Random(seed)
        self._links = {link.id: link for link in grid.links}
        self._near: dict[str, list[tuple[str, str, float]]] = {each.id: [] for each in grid.routers}
        for link in grid.links:
            self._near[link.a].append((link.b, link.id, link.resistance_ohm + 1e-3))
            self._near[link.b].append((link.a, link.id, link.resistance_ohm + 1e-3))
        self._down: set[str] = set()
        self.flows: dict[str, list[float]] = {link.id: [0.0, 0.0] for link in grid.links}
        self.circuits = {each.circuit_id: each for each in self._made(circuits)}
        self._marks = 0
        # By how much its clock is ahead of ours.
        self.ahead_ms = 0

    def more(self, count: int) -> str:
        """New circuits, beside those that are there."""
        first = max(self.circuits) + 1
        fresh = [each for each in self._made(first + count - 1) if each.circuit_id >= first]
        self.circuits |= {each.circuit_id: each for each in fresh}
        return _rows({"circuits": [_circuit_row(each) for each in fresh]})

    def _made(self, count: int) -> Iterator[Circuit]:
        trees = {source.id: self._tree(source.router) for source in self._grid.sources}
        loads = self._grid.loads
        for number in range(1, count + 1):
            load = loads[(number - 1) % len(loads)]
            near = [each for each in self._grid.sources if load.router in trees[each.id]]
            source = min(near, key=lambda each: trees[each.id][load.router][0])
            routers, links = self._path(trees[source.id], load.router)
            share = 0.9 / (-(-count // len(loads)))
            circuit = Circuit(number, source.id, load.id, routers, links, load.power_w * share)
            self._flow(circuit, 1)
            yield circuit

    def _tree(self, start: str) -> dict[str, tuple[float, str, str]]:
        """By router: how far it is, and over which router and link."""
        tree: dict[str, tuple[float, str, str]] = {}
        queue = [(0.0, start, "", "")]
        while queue:
            far, router, before, link_id = heappop(queue)
            if router in tree:
                continue
            tree[router] = (far, before, link_id)
            for other, over, length in self._near[router]:
                if other not in tree and over not in self._down:
                    heappush(queue, (far + length, other, router, over))
        return tree

    def _path(
        self, tree: Mapping[str, tuple[float, str, str]], end: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        routers, links = [end], []
        while tree[routers[-1]][1]:
            _, before, link_id = tree[routers[-1]]
            routers.append(before)
            links.append(link_id)
        return tuple(reversed(routers)), tuple(reversed(links))

    def _flow(self, circuit: Circuit, sign: int) -> None:
        for router, link_id in zip(circuit.router_ids, circuit.link_ids, strict=False):
            link = self._links[link_id]
            self.flows[link_id][0 if link.a == router else 1] += (
                sign * circuit.power_w / link.voltage_v
            )

    # What the page is told.

    def hello(self) -> str:
        daemon = {
            "version": "0.1.0",
            "role": "leader",
            "leader_name": "dgc1",
            "term": 12,
            "store": "sqlite",
            "network": self._grid.name,
            "emulation": True,
            "started_unix_ms": _now_ms(),
            "engine": "compiled",
        }
        return event("hello", {"columns": COLUMNS, "daemon": daemon, "resumed": False})

    def whole(self) -> Iterator[str]:
        """All rows, in turns, and that they are all."""
        tables: dict[str, list[list[Any]]] = {
            "routers": [
                [each.id, True, 0, each.at, each.efficiency, "", ""] for each in self._grid.routers
            ],
            "links": [self._link_row(each) for each in self._links],
            "sources": self._source_rows(),
            "loads": self._load_rows(),
            "circuits": [_circuit_row(each) for each in self.circuits.values()],
        }
        for table, rows in tables.items():
            for begin in range(0, len(rows), _AT_ONCE):
                yield _rows({table: rows[begin : begin + _AT_ONCE]})
        yield event("ready", {})

    def now_ms(self) -> int:
        return _now_ms() + self.ahead_ms

    def now(self) -> str:
        states: dict[str, int] = {}
        for each in self.circuits.values():
            states[each.state] = states.get(each.state, 0) + 1
        delivered_w = sum(each.power_w for each in self.circuits.values() if each.state == "active")
        told = {
            "at_unix_ms": self.now_ms(),
            "injected_w": delivered_w * 1.025,
            "delivered_w": delivered_w,
            "loss_w": delivered_w * 0.025,
            "circuits": states,
            "books": {"imbalance_mj": 0, "lost_in_transit_mj": 0},
            "measured": None,
        }
        return event("now", told)

    def drifted(self, links: int) -> str:
        """Some lines carry a little more or less than before."""
        ids = self._random.sample(sorted(self._links), min(links, len(self._links)))
        for link_id in ids:
            factor = self._random.uniform(0.9, 1.1)
            most = self._links[link_id].ampacity_a / 2
            self.flows[link_id] = [min(most, flow * factor) for flow in self.flows[link_id]]
        return _rows({"links": [self._link_row(each) for each in ids]})

    def cut(self, link_id: str) -> str:
        """A line breaks; a third of what was on it waits, the rest moves."""
        self._down.add(link_id)
        hit = [each for each in self.circuits.values() if link_id in each.link_ids]
        for number, each in enumerate(hit):
            each.state = "waiting" if number % 3 == 0 else "rerouting"
        rows = {
            "links": [self._link_row(link_id)],
            "circuits": [_circuit_row(each) for each in hit],
        }
        text = f"line {link_id} is down: {len(hit)} circuits are concerned"
        return _rows(rows) + self._mark("link_down", link_id, "alarm", text)

    def heal(self, link_id: str) -> str:
        self._down.discard(link_id)
        hit = [each for each in self.circuits.values() if each.state != "active"]
        for each in hit:
            each.state = "active"
        rows = {
            "links": [self._link_row(link_id)],
            "circuits": [_circuit_row(each) for each in hit],
        }
        return _rows(rows) + self._mark("link_up", link_id, "info", f"line {link_id} is up again")

    def _mark(self, kind: str, id_: str, severity: str, text: str) -> str:
        self._marks += 1
        mark = {
            "n": self._marks,
            "at_unix_ms": self.now_ms(),
            "kind": kind,
            "id": id_,
            "severity": severity,
            "text": text,
        }
        return event("marks", {"marks": [mark]})

    def _link_row(self, link_id: str) -> list[Any]:
        link = self._links[link_id]
        forth, back = self.flows[link_id]
        up = link_id not in self._down
        return [
            link.id,
            link.a,
            link.b,
            up,
            False,
            link.resistance_ohm,
            link.voltage_v,
            link.ampacity_a,
            link.cost_per_mwh,
            round(forth, 1) if up else 0,
            round(back, 1) if up else 0,
            list(link.risk_groups),
            link.via,
            "",
        ]

    def _source_rows(self) -> list[list[Any]]:
        drawn: dict[str, float] = {}
        for each in self.circuits.values():
            drawn[each.source_id] = drawn.get(each.source_id, 0.0) + each.power_w * 1.025
        return [
            [each.id, each.router, each.max_power_w, drawn.get(each.id, 0.0), each.renewable]
            for each in self._grid.sources
        ]

    def _load_rows(self) -> list[list[Any]]:
        taken: dict[str, float] = {}
        for each in self.circuits.values():
            taken[each.sink_id] = taken.get(each.sink_id, 0.0) + each.power_w
        return [
            [each.id, each.router, each.power_w, taken.get(each.id, 0.0), each.priority]
            for each in self._grid.loads
        ]


def _circuit_row(circuit: Circuit) -> list[Any]:
    return [
        circuit.circuit_id,
        f"request-{circuit.circuit_id}",
        circuit.state,
        "no path has room" if circuit.state == "waiting" else "",
        circuit.source_id,
        circuit.sink_id,
        circuit.router_ids,
        circuit.link_ids,
        circuit.power_w,
        circuit.power_w * (1 + 0.004 * len(circuit.link_ids)),
        0.004 * len(circuit.link_ids) / (1 + 0.004 * len(circuit.link_ids)),
        0,
    ]


def _rows(tables: Mapping[str, list[list[Any]]]) -> str:
    return event("rows", {"at_unix_ms": _now_ms(), **tables})


def event(name: str, data: Mapping[str, Any]) -> str:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _now_ms() -> int:
    return int(time() * 1000)
