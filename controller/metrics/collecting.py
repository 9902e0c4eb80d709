"""Collector of all metrics: reads tallies and the core when it is asked, and turns them into Prometheus' families."""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib.metadata import version
from operator import attrgetter

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.protection import Protection
from controller.core.errors import Refusal
from controller.core.network.admin import AdminState
from controller.core.network.link import LinkState
from controller.core.questions import Questions
from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.reference import METRICS, PREFIX
from controller.routing.compiled import engine_in_use
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook, Reading
from digitalgrid.counters import COUNTERS
from digitalgrid.metrics.families import Families, one_label
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.units import MILLIJOULES_PER_J

# Read of each circuit: an enumeration's property would take longer than all else.
_STATE, _PROTECTION = attrgetter("state._value_"), attrgetter("guard.word._value_")
_MISTAKES = frozenset({"supervised_failures", "unhandled_exceptions"})
_BUILD = version("digitalgrid"), platform.python_version()
# Of what routers measure, in the order of its kinds.
_ENERGIES = (
    "injected_energy_joules_total",
    "delivered_energy_joules_total",
    "line_loss_energy_joules_total",
    "converter_loss_energy_joules_total",
    "dissipated_energy_joules_total",
    "lost_to_faults_energy_joules_total",
    "lost_in_transit_energy_joules_total",
)
_FAMILIES = Families(PREFIX, METRICS)


class Metrics(Collector):
    """Of one daemon; to be asked in the loop's own thread, as all that reads the core."""

    def __init__(
        self,
        runtime: Runtime,
        gate: Gate,
        meters: MeterLook,
        circuits: CircuitTallies,
        lateness_s: Histogram,
    ) -> None:
        self._runtime = runtime
        self._gate = gate
        self._meters = meters
        self._circuits = circuits
        self._lateness_s = lateness_s

    def describe(self) -> list[Metric]:
        """None: a registry would otherwise collect once to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        self._circuits.sweep()
        yield from self._of_process()
        yield from self._of_calls()
        yield from self._of_watching()
        yield from self._of_loads()
        if self._meters.reading is not None:
            yield from _of_energies(self._meters.reading)
        counts = COUNTERS.snapshot()
        yield _FAMILIES.one("mistakes_total", sum(_mistakes(counts)))
        yield from _FAMILIES.counters(counts)
        try:
            known = self._runtime.questions
        except Refusal:
            # A controller that does not know the state yet has nothing to say of it.
            return
        yield from _of_circuits(known)
        yield from self._runtime.look(_of_network)
        decided = Counter[tuple[str, ...]]()
        for (action, reason), count in known.answered.items():
            decided[str(action), str(reason)] += count
        yield _FAMILIES.of("decisions_total", decided.items())

    def _of_process(self) -> Iterator[Metric]:
        runtime = self._runtime
        engine = str(engine_in_use())
        built = (*_BUILD, engine)
        yield _FAMILIES.of("build_info", [(built, 1)])
        yield _FAMILIES.one("leader", runtime.leads)
        yield _FAMILIES.one("term", runtime.election_id.low)
        changes = {
            ("began",): runtime.tallies.began_to_lead,
            ("ceased",): runtime.tallies.ceased_to_lead,
        }
        yield _FAMILIES.of("leadership_changes_total", changes.items())
        yield _FAMILIES.one("store_unwritten", runtime.unwritten)
        yield _FAMILIES.histogram(
            "store_commit_duration_seconds", [((), runtime.tallies.commits_s)]
        )
        yield _FAMILIES.histogram("loop_lateness_seconds", [((), self._lateness_s)])

        if runtime.tallies.control_network is not None:
            network = runtime.tallies.control_network()
            yield _FAMILIES.one("openflow_switches", network.switches)
            yield _FAMILIES.one("openflow_hosts", network.hosts)

    def _of_calls(self) -> Iterator[Metric]:
        tallies = self._runtime.tallies
        yield _FAMILIES.of("rpc_requests_total", tallies.calls.items())
        yield _FAMILIES.histogram("rpc_duration_seconds", one_label(tallies.call_durations_s))
        yield _FAMILIES.of("rpc_in_flight", one_label(tallies.in_flight))

    def _of_watching(self) -> Iterator[Metric]:
        yield _FAMILIES.one("watch_messages_total", self._gate.messages)
        yield _FAMILIES.one("watch_work_seconds_total", self._gate.worked_s)
        tallies = self._runtime.tallies
        yield _FAMILIES.one("web_clients", tallies.web_clients)
        yield _FAMILIES.one("web_resyncs_total", tallies.web_resyncs)
        yield _FAMILIES.one("web_stalls_total", tallies.web_stalls)

    def _of_loads(self) -> Iterator[Metric]:
        """What circuits' loads felt."""
        known = self._circuits
        yield _FAMILIES.histogram("circuit_setup_duration_seconds", one_label(known.setup_s))
        yield _FAMILIES.one("circuit_interruptions_total", known.interruptions)
        yield _FAMILIES.histogram("circuit_first_packet_seconds", [((), known.first_packet_s)])
        promised_j = known.promised_mj / MILLIJOULES_PER_J
        yield _FAMILIES.one("circuit_promised_energy_joules_total", promised_j)
        missing_j = {cause: mj / MILLIJOULES_PER_J for cause, mj in known.missing_mj.items()}
        yield _FAMILIES.of("circuit_missing_energy_joules_total", one_label(missing_j))
        yield _FAMILIES.histogram("circuit_missing_power_seconds", one_label(known.gaps_s))
        yield _FAMILIES.one("circuits_waiting_seconds", known.longest_wait_s)


def _of_energies(reading: Reading) -> Iterator[Metric]:
    for name, energy_mj in zip(_ENERGIES, reading.totals, strict=True):
        yield _FAMILIES.one(name, energy_mj / MILLIJOULES_PER_J)
    yield _FAMILIES.one("buffered_energy_joules", reading.buffered_mj / MILLIJOULES_PER_J)
    yield _FAMILIES.one("books_imbalance_joules", reading.imbalance_mj / MILLIJOULES_PER_J)
    yield _FAMILIES.one("routers_unread", len(reading.missing_ids))


def _none_of(words: type[Enum]) -> dict[str, float]:
    """A series for each word that there can be: one that is missing would be no answer."""
    return dict.fromkeys((each.value for each in words), 0)


def _of_circuits(known: Questions) -> Iterator[Metric]:
    circuits = known.circuits.values()
    power_w = _none_of(CircuitState)
    for circuit in circuits:
        power_w[circuit.state._value_] += circuit.power_w
    states = _none_of(CircuitState) | Counter(map(_STATE, circuits))
    protected = _none_of(Protection) | Counter(map(_PROTECTION, circuits))
    del protected[Protection.NONE.value]
    yield _FAMILIES.of("circuits", one_label(states))
    yield _FAMILIES.of("circuit_power_watts", one_label(power_w))
    yield _FAMILIES.of("circuits_protected", one_label(protected))


def _of_network(known: Questions, now_ns: int) -> list[Metric]:
    view = known.view
    fresh = known.fresh_router_ids(now_ns)
    routers = {
        "known": len(view.routers),
        "connected": sum(map(known.is_connected, view.routers)),
        "stale": len(view.routers.keys() - fresh),
    }
    links = _none_of(LinkState)
    for link in view.links.values():
        links[link.state.value] += 1
    drains = _none_of(AdminState) | Counter(each.state.value for each in known.drains.values())
    del drains[AdminState.IN_SERVICE.value]
    return [
        _FAMILIES.of("routers", one_label(routers)),
        _FAMILIES.of("links", one_label(links)),
        _FAMILIES.of("drains", one_label(drains)),
        _FAMILIES.one("lsdb_version", known.lsdb_version),
    ]


def _mistakes(counts: Mapping[tuple[str, str], int]) -> Iterator[int]:
    """Also before there are any: of a series that begins with the first of them Prometheus sees no increase."""
    return (count for (name, _), count in counts.items() if name in _MISTAKES)
