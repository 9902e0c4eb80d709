"""Collector of all metrics: reads tallies and the core when it is asked, and turns them into Prometheus' families."""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from importlib.metadata import version
from operator import attrgetter
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.protection import Protection
from controller.core.errors import Refusal
from controller.core.network.admin import AdminState
from controller.core.network.link import LinkState
from controller.core.questions import Questions
from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.reference import BY_NAME, PREFIX, Kind
from controller.routing.compiled import engine_in_use
from controller.runtime.runtime import Runtime
from controller.tallies import Histogram
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook, Reading
from digitalgrid.counters import COUNTERS
from digitalgrid.units import MILLIJOULES_PER_J

# Read of each circuit: an enumeration's property would take longer than all else.
_STATE, _PROTECTION = attrgetter("state._value_"), attrgetter("guard.word._value_")
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
# Values of labels, and a figure.
Sample = tuple[tuple[str, ...], float]
T = TypeVar("T")


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
        yield from _of_counters(COUNTERS.snapshot())
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
        yield _family("decisions_total", decided.items())

    def _of_process(self) -> Iterator[Metric]:
        runtime = self._runtime
        engine = str(engine_in_use())
        built = (*_BUILD, engine)
        yield _family("build_info", [(built, 1)])
        yield _family("leader", [((), runtime.leads)])
        yield _family("term", [((), runtime.election_id.low)])
        changes = {
            ("began",): runtime.tallies.began_to_lead,
            ("ceased",): runtime.tallies.ceased_to_lead,
        }
        yield _family("leadership_changes_total", changes.items())
        yield _family("store_unwritten", [((), runtime.unwritten)])
        yield _histogram("store_commit_duration_seconds", [((), runtime.tallies.commits_s)])
        yield _histogram("loop_lateness_seconds", [((), self._lateness_s)])

    def _of_calls(self) -> Iterator[Metric]:
        tallies = self._runtime.tallies
        yield _family("rpc_requests_total", tallies.calls.items())
        yield _histogram("rpc_duration_seconds", _one_label(tallies.call_durations_s))
        yield _family("rpc_in_flight", _one_label(tallies.in_flight))

    def _of_watching(self) -> Iterator[Metric]:
        yield _family("watch_messages_total", [((), self._gate.messages)])
        yield _family("watch_work_seconds_total", [((), self._gate.worked_s)])
        tallies = self._runtime.tallies
        yield _family("web_clients", [((), tallies.web_clients)])
        yield _family("web_resyncs_total", [((), tallies.web_resyncs)])
        yield _family("web_stalls_total", [((), tallies.web_stalls)])

    def _of_loads(self) -> Iterator[Metric]:
        """What circuits' loads felt."""
        known = self._circuits
        yield _histogram("circuit_setup_duration_seconds", _one_label(known.setup_s))
        yield _family("circuit_interruptions_total", [((), known.interruptions)])
        yield _histogram("circuit_first_packet_seconds", [((), known.first_packet_s)])
        promised_j = known.promised_mj / MILLIJOULES_PER_J
        yield _family("circuit_promised_energy_joules_total", [((), promised_j)])
        missing_j = {cause: mj / MILLIJOULES_PER_J for cause, mj in known.missing_mj.items()}
        yield _family("circuit_missing_energy_joules_total", _one_label(missing_j))
        yield _histogram("circuit_missing_power_seconds", _one_label(known.gaps_s))
        yield _family("circuits_waiting_seconds", [((), known.longest_wait_s)])


def _of_energies(reading: Reading) -> Iterator[Metric]:
    for name, energy_mj in zip(_ENERGIES, reading.totals, strict=True):
        yield _family(name, [((), energy_mj / MILLIJOULES_PER_J)])
    yield _family("buffered_energy_joules", [((), reading.buffered_mj / MILLIJOULES_PER_J)])
    yield _family("books_imbalance_joules", [((), reading.imbalance_mj / MILLIJOULES_PER_J)])
    yield _family("routers_unread", [((), len(reading.missing_ids))])


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
    yield _family("circuits", _one_label(states))
    yield _family("circuit_power_watts", _one_label(power_w))
    yield _family("circuits_protected", _one_label(protected))


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
        _family("routers", _one_label(routers)),
        _family("links", _one_label(links)),
        _family("drains", _one_label(drains)),
        _family("lsdb_version", [((), known.lsdb_version)]),
    ]


def _of_counters(counts: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    """What happens seldom; of it only what has happened."""
    by_name: dict[str, list[Sample]] = {}
    for (name, label), count in counts.items():
        by_name.setdefault(f"{name}_total", []).append(((label,), count))
    for name, samples in sorted(by_name.items()):
        # Those of routers that run in this process are theirs.
        if name in BY_NAME:
            yield _family(name, samples)


def _one_label(by_label: Mapping[str, T]) -> Iterator[tuple[tuple[str, ...], T]]:
    return (((label,), each) for label, each in by_label.items())


_FAMILIES: dict[Kind, Callable[..., GaugeMetricFamily | CounterMetricFamily]] = {
    Kind.GAUGE: GaugeMetricFamily,
    Kind.COUNTER: CounterMetricFamily,
}


def _family(name: str, samples: Iterable[Sample]) -> Metric:
    known = BY_NAME[name]
    family = _FAMILIES[known.kind](PREFIX + name, known.meaning, labels=known.labels)
    for labels, figure in samples:
        family.add_metric(labels, figure)
    return family


def _histogram(name: str, samples: Iterable[tuple[tuple[str, ...], Histogram]]) -> Metric:
    known = BY_NAME[name]
    family = HistogramMetricFamily(PREFIX + name, known.meaning, labels=known.labels)
    for labels, histogram in samples:
        buckets, below = [], 0
        for bound, count in zip(
            (*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True
        ):
            below += count
            buckets.append((bound, below))
        family.add_metric(labels, buckets, histogram.total)
    return family
