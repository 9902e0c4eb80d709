"""Collector of a router's metrics: reads the device when it is asked, and turns its books into families."""

import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

from digitalgrid.counters import COUNTERS
from digitalgrid.metrics.families import Families, Family, Sample
from digitalgrid.metrics.server import serving_collector
from digitalgrid.units import MILLIJOULES_PER_J, MILLIWATTS_PER_W, NS_PER_S
from router_agent.agent import Agent
from router_agent.device.device import RouterDevice
from router_agent.device.meters import LinkBooks, RouterBooks
from router_agent.metrics.reference import METRICS, PREFIX

_BUILD = version("digitalgrid"), platform.python_version()
_FAMILIES = Families(PREFIX, METRICS)


def serving_metrics(agent: Agent, listen: str) -> AbstractAsyncContextManager[int]:
    """Serve on ``listen`` (host:port); yields the port. OSError, which says what to do, where that is taken."""
    return serving_collector(RouterMetrics(agent).collect, listen)


class RouterMetrics:
    """Of one router; to be asked in the loop's own thread, as all that reads the device."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterator[Family]:
        agent, device = self._agent, self._agent.device
        built = (device.config.router_id, *_BUILD)
        yield _FAMILIES.of("build_info", [(built, 1)])
        yield _FAMILIES.one("boots_total", device.boot_id)
        controllers = {
            ("configured",): len(device.config.controllers),
            ("connected",): agent.sessions_standing,
        }
        yield _FAMILIES.of("controllers", controllers.items())
        orders = {
            (operation.name, result.name): count
            for (operation, result), count in agent.answered.items()
        }
        yield _FAMILIES.of("orders_total", orders.items())
        yield from _of_circuits(device)
        yield _FAMILIES.histogram("tick_lateness_seconds", [((), device.ticks_late_s)])
        now_ns = time.monotonic_ns()
        books = device.read_books(now_ns)
        yield from _of_links(device, books, now_ns)
        yield from _of_cell(device, books)
        yield from _FAMILIES.counters(COUNTERS.snapshot())


def _of_circuits(device: RouterDevice) -> Iterator[Family]:
    table = device.table
    roles = Counter(hop.standby for hop in table.hops)
    hops = {("working",): roles[False], ("standby",): roles[True]}
    yield _FAMILIES.of("hops", hops.items())
    yield _FAMILIES.one("staged_transactions", len(table.staged_txn_ids))
    yield _FAMILIES.one("table_version", table.version)
    yield _FAMILIES.one("demand_watts", device.demand_mw / MILLIWATTS_PER_W)


def _of_links(device: RouterDevice, books: RouterBooks, now_ns: int) -> Iterator[Family]:
    """Of the lines that it has; the books also keep those that it had."""
    links = {link_id: books.links[link_id] for link_id in device.lines}
    up = [((link_id,), float(line.up)) for link_id, line in device.lines.items()]
    yield _FAMILIES.of("link_up", up)
    silent = {
        (link_id,): line.adjacency.silent_ns(now_ns) for link_id, line in device.lines.items()
    }
    silent_s = [(link, ns / NS_PER_S) for link, ns in silent.items() if ns is not None]
    yield _FAMILIES.of("neighbour_silence_seconds", silent_s)
    for name, meter in (
        ("link_sent_energy_joules_total", "sent_mj"),
        ("link_loss_energy_joules_total", "line_loss_mj"),
        ("link_received_energy_joules_total", "received_mj"),
    ):
        yield _FAMILIES.of(name, _energies(links, meter))
    lost = {"fault": "lost_to_faults_mj", "transit": "lost_in_transit_mj"}
    yield _FAMILIES.of("link_lost_energy_joules_total", _by_word(links, lost, MILLIJOULES_PER_J))
    frames = {"sent": "frames_sent", "received": "frames_received"}
    yield _FAMILIES.of("link_frames_total", _by_word(links, frames))
    faults = {each: f"frames_{each}" for each in ("dropped", "refused", "clamped")}
    yield _FAMILIES.of("link_frames_faulty_total", _by_word(links, faults))


def _energies(links: Mapping[str, LinkBooks], meter: str) -> Iterator[Sample]:
    """``meter`` is its name in the books."""
    for link_id, link in links.items():
        yield (link_id,), getattr(link, meter) / MILLIJOULES_PER_J


def _by_word(
    links: Mapping[str, LinkBooks], meters: Mapping[str, str], divisor: float = 1
) -> Iterator[Sample]:
    """``meters`` are names in the books, by the word that stands behind the link's id."""
    for link_id, link in links.items():
        for word, meter in meters.items():
            yield (link_id, word), getattr(link, meter) / divisor


def _of_cell(device: RouterDevice, books: RouterBooks) -> Iterator[Family]:
    """Of what is at the router itself: sources, loads, converters."""
    injected = [
        ((each.id,), books.injected_mj[each.id] / MILLIJOULES_PER_J)
        for each in device.config.sources
    ]
    delivered = [
        ((each.id,), books.delivered_mj[each.id] / MILLIJOULES_PER_J)
        for each in device.config.loads
    ]
    yield _FAMILIES.of("source_injected_energy_joules_total", injected)
    yield _FAMILIES.of("load_delivered_energy_joules_total", delivered)
    for name, energy_mj in (
        ("converter_loss_energy_joules_total", books.converter_loss_mj),
        ("dissipated_energy_joules_total", books.dissipated_mj),
        ("buffered_energy_joules", books.buffered_mj),
        ("books_imbalance_joules", books.imbalance_mj()),
    ):
        yield _FAMILIES.one(name, energy_mj / MILLIJOULES_PER_J)
    oversubscribed = books.oversubscribed_instants
    oversubscribed += sum(link.oversubscribed_instants for link in books.links.values())
    yield _FAMILIES.one("oversubscribed_instants_total", oversubscribed)
    clamped = books.through_power_clamped_instants
    yield _FAMILIES.one("through_power_clamped_instants_total", clamped)
