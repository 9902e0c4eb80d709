"""Collector of all metrics: reads tallies and the core when it is asked, and turns them into Prometheus' families."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from controller.core.circuits.differences import DIFFERENCES
from controller.core.errors import Refusal
from controller.metrics.circuit_tallies import CircuitTallies
from controller.metrics.of_core import of_circuits, of_lead, of_network
from controller.metrics.of_links import LinkDetail
from controller.metrics.reference import METRICS, PREFIX
from controller.metrics.store_look import StoreLook
from controller.routing.compiled import engine_in_use
from controller.runtime.runtime import Runtime
from controller.tallies import KINDS, SessionEvent
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook, Reading
from digitalgrid.counters import COUNTERS
from digitalgrid.metrics.families import Families, Family, one_label
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.units import MILLIJOULES_PER_J

_MISTAKES = frozenset({"supervised_failures", "unhandled_exceptions"})
# There before any has happened: of a series that begins with the first of them Prometheus sees no increase.
_FROM_ZERO = {("reconcile_differences", kind): 0 for kind in DIFFERENCES}
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


class Metrics:
    """Of one daemon; to be asked in the loop's own thread, as all that reads the core."""

    def __init__(
        self,
        runtime: Runtime,
        gate: Gate,
        meters: MeterLook,
        circuits: CircuitTallies,
        store: StoreLook,
        lateness_s: Histogram,
        links: LinkDetail | None = None,
    ) -> None:
        self._runtime = runtime
        self._gate = gate
        self._meters = meters
        self._circuits = circuits
        self._store = store
        self._lateness_s = lateness_s
        self._links = links

    def collect(self) -> Iterator[Family]:
        self._circuits.sweep()
        yield from self._of_process()
        yield from self._of_store()
        yield from self._of_control_network()
        yield from self._of_calls()
        yield from self._of_solver()
        yield from self._of_watching()
        yield from self._of_loads()
        if self._meters.reading is not None:
            yield from _of_energies(self._meters.reading)
        counts = COUNTERS.snapshot()
        yield _FAMILIES.one("mistakes_total", sum(_mistakes(counts)))
        yield from _FAMILIES.counters(_FROM_ZERO | counts)
        try:
            known = self._runtime.questions
        except Refusal:
            # A controller that does not know the state yet has nothing to say of it.
            return
        yield from of_circuits(known)
        yield from self._runtime.look(of_network)
        yield from of_lead(known)
        if self._links is not None:
            yield from self._links.collect(known)

    def _of_process(self) -> Iterator[Family]:
        runtime = self._runtime
        engine = str(engine_in_use())
        built = (*_BUILD, engine)
        yield _FAMILIES.of("build_info", [(built, 1)])
        yield _FAMILIES.one("leader", runtime.leads)
        yield _FAMILIES.one("term", runtime.election_id.low)
        changes = {event.value: times for event, times in runtime.tallies.lead_events.items()}
        yield _FAMILIES.of("leadership_changes_total", one_label(changes))
        yield _FAMILIES.histogram("loop_lateness_seconds", [((), self._lateness_s)])
        busy_s = {part.value: each for part, each in runtime.tallies.busy_s.items()}
        yield _FAMILIES.of("loop_busy_seconds_total", one_label(busy_s))
        sessions = {event.value: runtime.tallies.sessions[event] for event in SessionEvent}
        yield _FAMILIES.of("southbound_sessions_total", one_label(sessions))
        downs = {cause.name.lower(): times for cause, times in runtime.tallies.line_downs.items()}
        yield _FAMILIES.of("link_failures_total", one_label(downs))

    def _of_store(self) -> Iterator[Family]:
        runtime = self._runtime
        yield _FAMILIES.one("store_unwritten", runtime.unwritten)
        yield _FAMILIES.histogram(
            "store_commit_duration_seconds", [((), runtime.tallies.commits_s)]
        )
        vitals, room = runtime.stored.vitals, self._store.room
        if vitals is not None:
            yield _FAMILIES.histogram("store_batch_changes", [((), vitals.batch_sizes)])
            yield _FAMILIES.one("standbys", vitals.standbys)
            if vitals.least_lease_s is not None:
                yield _FAMILIES.one("store_lease_remaining_seconds", vitals.least_lease_s)
        if room is not None:
            yield _FAMILIES.one("store_size_bytes", room.size_bytes)
            yield _FAMILIES.one("store_free_bytes", room.free_bytes)

    def _of_control_network(self) -> Iterator[Family]:
        tallies = self._runtime.tallies
        if tallies.control_network is not None:
            network = tallies.control_network()
            yield _FAMILIES.one("openflow_switches", network.switches)
            yield _FAMILIES.one("openflow_hosts", network.hosts)
        if tallies.control_traffic is not None:
            traffic = tallies.control_traffic()
            yield _FAMILIES.one("openflow_packet_in_total", traffic.frames)
            yield _FAMILIES.one("openflow_frames_shed_total", traffic.frames_shed)
            yield _FAMILIES.one("openflow_flow_mods_total", traffic.flow_mods)

    def _of_calls(self) -> Iterator[Family]:
        tallies = self._runtime.tallies
        yield _FAMILIES.of("rpc_requests_total", tallies.calls.items())
        yield _FAMILIES.histogram("rpc_duration_seconds", one_label(tallies.call_durations_s))
        yield _FAMILIES.of("rpc_in_flight", one_label(tallies.in_flight))
        rejected = dict.fromkeys(KINDS, 0) | tallies.rejected
        yield _FAMILIES.of("rpc_rejected_total", one_label(rejected))
        yield _FAMILIES.histogram("admission_batch_requests", [((), tallies.batch_sizes)])

    def _of_solver(self) -> Iterator[Family]:
        tallies = self._runtime.tallies
        runs = {(kind.value, outcome.value): n for (kind, outcome), n in tallies.solved.items()}
        yield _FAMILIES.of("solver_runs_total", runs.items())
        durations_s = {kind.value: each for kind, each in tallies.solved_s.items()}
        yield _FAMILIES.histogram("solver_duration_seconds", one_label(durations_s))
        steps = {kind.value: each for kind, each in tallies.iterations.items()}
        yield _FAMILIES.histogram("solver_iterations", one_label(steps))

    def _of_watching(self) -> Iterator[Family]:
        yield _FAMILIES.one("watch_messages_total", self._gate.messages)
        yield _FAMILIES.one("watch_work_seconds_total", self._gate.worked_s)
        yield _FAMILIES.histogram("watch_wait_seconds", [((), self._gate.waits_s)])
        tallies = self._runtime.tallies
        yield _FAMILIES.one("web_clients", tallies.web_clients)
        yield _FAMILIES.one("web_resyncs_total", tallies.web_resyncs)
        yield _FAMILIES.one("web_stalls_total", tallies.web_stalls)

    def _of_loads(self) -> Iterator[Family]:
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
        took_s = {cause.name.lower(): each for cause, each in known.reroutes.took_s.items()}
        yield _FAMILIES.histogram("reroute_duration_seconds", one_label(took_s))


def _of_energies(reading: Reading) -> Iterator[Family]:
    for name, energy_mj in zip(_ENERGIES, reading.totals, strict=True):
        yield _FAMILIES.one(name, energy_mj / MILLIJOULES_PER_J)
    yield _FAMILIES.one("buffered_energy_joules", reading.buffered_mj / MILLIJOULES_PER_J)
    yield _FAMILIES.one("books_imbalance_joules", reading.imbalance_mj / MILLIJOULES_PER_J)
    yield _FAMILIES.one("routers_unread", len(reading.missing_ids))
    yield _FAMILIES.one("oversubscribed_instants_total", reading.oversubscribed)
    deviation_j = reading.formula_deviation_mj / MILLIJOULES_PER_J
    yield _FAMILIES.one("formula_deviation_joules", deviation_j)


def _mistakes(counts: Mapping[tuple[str, str], int]) -> Iterator[int]:
    """Also before there are any: of a series that begins with the first of them Prometheus sees no increase."""
    return (count for (name, _), count in counts.items() if name in _MISTAKES)
