"""The router as a pure device: events in, effects out, the time passed in; no I/O, clock or thread.

Every event method returns the effects that it causes, to be carried out in order. Between events the device sleeps
until :meth:`RouterDevice.next_deadline_ns`. What an event changes in the rates is worked out by the timer, which is due
at once then: events that come together, as they do at a router that is late, are answered together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import (
    NO_ELECTION_ID,
    CircuitGeneration,
    DownCause,
    ElectionId,
    FlowState,
    Operation,
    ResultCode,
    RouterLsa,
)
from digitalgrid.units import MILLIWATTS_PER_W
from digitalgrid.wire import name_hash
from router_agent.config import RouterConfig
from router_agent.device.advertisement import Advertiser
from router_agent.device.arrival import Energy
from router_agent.device.circuit_table import CircuitTable
from router_agent.device.conversion import Conversion
from router_agent.device.effects import (
    Advertise,
    Answer,
    Effect,
    Report,
)
from router_agent.device.flow import Flow
from router_agent.device.flow_states import Playout
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks
from router_agent.device.mutation import Mutation, Outcome
from router_agent.device.passing import Passing
from router_agent.device.punctuality import Punctuality
from router_agent.device.quick_packets import QuickPackets
from router_agent.device.rate_finding import RateFinder
from router_agent.device.selector import Selector
from router_agent.device.sending import Sending
from router_agent.device.settling import Settling
from router_agent.device.shared_standbys import Limits, PoolUse, pool_uses
from router_agent.device.sink import FlowStatus, SinkWatch


class RouterDevice:
    def __init__(
        self,
        config: RouterConfig,
        boot_id: int,
        books: RouterBooks,
        now_ns: int,
        highest_election_id: ElectionId = NO_ELECTION_ID,
        floors: Mapping[int, int] | None = None,
        away_ns: int = 0,
    ) -> None:
        """``away_ns``: how long the router was dead since ``books`` were saved."""
        self.config = config
        self.boot_id = boot_id
        self._books = books
        effects: list[Effect] = []
        source_w = {source.id: source.max_power_w for source in config.sources}
        load_w = {load.id: load.power_w for load in config.loads}
        books.open((link.id for link in config.links), source_w, load_w)
        self.lines = {
            link.id: Line(link, config, boot_id, books.links[link.id], now_ns, effects.append)
            for link in config.links
        }
        self.table = CircuitTable(
            self._link_up, tuple(source_w), tuple(load_w), highest_election_id, floors
        )
        # What each source can give now; the converter looks at the same.
        self._source_w = source_w
        self._limits = Limits(source_w, dict(source_w), self.table.pools.received_w)
        self._conversion = Conversion(config.efficiency, config.profile)
        # What share of its circuits' power each load takes now.
        self._takes = dict.fromkeys(load_w, 1.0)
        self._selector = Selector(config, self._takes)
        self._quick = QuickPackets(config)
        self._sink_watch = SinkWatch(books, config.tick_ns, self._takes, away_ns)
        conversion, sink_watch = self._conversion, self._sink_watch
        self._passing = Passing(
            config, self.lines, conversion, books, source_w, load_w, sink_watch, now_ns
        )
        self._tick_began_ns = now_ns
        phase_ns = name_hash(config.router_id) % config.tick_ns
        self._next_tick_ns = now_ns + config.tick_ns - (now_ns - phase_ns) % config.tick_ns
        self._advertiser = Advertiser(config, boot_id, self._link_down, source_w, now_ns)
        self._punctuality = Punctuality(config, now_ns)
        self._sending = Sending(effects, self.lines, self._passing, self._punctuality, self._quick)
        self._settling = Settling(now_ns)
        self._rates = RateFinder(
            books,
            self._limits,
            conversion,
            self._passing,
            self._selector,
            sink_watch,
            self._sending,
            self._quick,
            self._punctuality,
        )
        self._wake_ns = now_ns

    def carrier_changed(self, link_id: str, carrier: bool, now_ns: int) -> list[Effect]:
        line = self.lines[link_id]
        if line.set_carrier(carrier):
            self._link_state_changed(now_ns)
        elif carrier:
            self._sending.hello(line, now_ns)
        self._wake_by(now_ns)
        return self._sending.take_effects()

    def datagram_received(self, link_id: str, datagram: bytes, now_ns: int) -> list[Effect]:
        line = self.lines[link_id]
        arrival = line.receive(datagram, now_ns)
        if not any(arrival):
            return self._sending.take_effects()
        if arrival.lost or arrival.restated or arrival.went_down or arrival.unfounded:
            self._passing.stop_standing(now_ns)
        energy = arrival.energy
        if self._passing.quiet.stands:
            self._passing.quiet.heard(line, energy)
            energy = ()
        elif arrival.stands:
            energy = tuple(Energy(*each) for each in line.into.take_arrived())
        first = self._take(line, energy, now_ns) if energy else []
        if arrival.went_up or arrival.went_down:
            self._link_state_changed(now_ns)
        elif first or arrival.restated:
            self._unsettle(now_ns, urgent=arrival.urgent)
        for flow in first:
            if flow.egress is not None:
                self._sending.statements.tell(flow.egress, flow)
        if arrival.went_up:
            self._sending.statements.whole.add(link_id)
        elif arrival.owes_hello:
            self._sending.hello(line, now_ns)
        return self._sending.take_effects()

    def mutate(self, mutation: Mutation, now_ns: int) -> list[Effect]:
        """Apply a controller's mutation; what :meth:`CircuitTable.promised_by` names is durable by now."""
        outcome = self.table.apply(mutation, now_ns)
        if outcome.added or outcome.removed or outcome.promoted:
            self._change_flows(outcome, now_ns)
        elif outcome.pools_changed:
            self._unsettle(now_ns)
        if outcome.operation is Operation.WITHDRAW and outcome.code is ResultCode.OK:
            self._books.end_interrupted(mutation.circuits)
            outcome = replace(outcome, ended=self._books.final_meters(mutation.circuits))
        self._sending.effects.append(Answer(outcome))
        if outcome.code is ResultCode.OK:
            self._end(mutation, now_ns)
        expiry_ns = self.table.next_expiry_ns()
        if expiry_ns is not None:
            self._wake_by(expiry_ns)
        return self._sending.take_effects()

    def source_limit(self, source_id: str, power_w: float, now_ns: int) -> list[Effect]:
        """A source gives at most so much from now on (a cloud), and never more than it is built for.

        Its shares are right with the next energy that leaves, not with the next tick.
        """
        (rating_w,) = (each.max_power_w for each in self.config.sources if each.id == source_id)
        limit_w = min(max(0.0, power_w), rating_w)
        if limit_w != self._source_w[source_id]:
            self._passing.advance(now_ns)
            self._source_w[source_id] = limit_w
            self._rates_changed(now_ns)
            self._advertise(now_ns)
            self._wake_by(now_ns)
        return self._sending.take_effects()

    def load_limit(self, load_id: str, share: float, now_ns: int) -> list[Effect]:
        """A load takes so much of what each of its circuits brings from now on; nothing where it is unplugged."""
        share = min(max(0.0, share), 1.0)
        if share != self._takes[load_id]:
            self._passing.advance(now_ns)
            self._takes[load_id] = share
            for flow in self._sinks():
                if flow.hop.load_id == load_id:
                    self._passing.forget_rates(flow.key.circuit_id)
            self._rates_changed(now_ns)
            self._wake_by(now_ns)
        return self._sending.take_effects()

    def timer(self, now_ns: int) -> list[Effect]:
        if self._punctuality.note(self._wake_ns, now_ns):
            for line in self.lines.values():
                line.adjacency.listen_anew(now_ns)
        self.table.expire(now_ns)
        self._expire_lines(now_ns)
        self._begin_at_sources(now_ns)
        if now_ns >= self._passing.quiet.until_ns:
            self._passing.stands_on(now_ns)
        ticks = now_ns >= self._next_tick_ns
        if ticks:
            self._tick(now_ns)
        elif self._must_select(now_ns) or self._settling.is_due(now_ns):
            self._rates_changed(now_ns)
        self._play(now_ns)
        self._sending.quick_packets(now_ns)
        if now_ns >= self._advertiser.next_ns or (ticks and self._advertiser.is_outdated):
            self._advertise(now_ns)
        self._sending.due_states(now_ns)
        if ticks and self._passing.at_rest and self._settling.next_ns is None:
            self._passing.quiet.begin(
                self._passing.flows, self._passing.index, self._punctuality.cushion, now_ns
            )
        self._sending.due_hellos(now_ns)
        self._wake_ns = self._find_deadline_ns()
        return self._sending.take_effects()

    def stop(self, now_ns: int) -> list[Effect]:
        """The router leaves: its neighbours are told."""
        self._passing.advance(now_ns)
        self._passing.stop_standing(now_ns)
        self._sending.farewell(now_ns)
        return self._sending.take_effects()

    def next_deadline_ns(self) -> int:
        """When :meth:`timer` must be called; where it is called with nothing to do, nothing happens."""
        return self._wake_ns

    @property
    def flows(self) -> tuple[Flow, ...]:
        self._passing.quiet.settle()
        return tuple(self._passing.flows)

    @property
    def books(self) -> RouterBooks:
        """As of the last tick, or of what changed rates since."""
        self._passing.quiet.settle()
        return self._books

    @property
    def books_to_save(self) -> RouterBooks:
        """The same, of which the time tells a part."""
        return self._books

    @property
    def demand_mw(self) -> int:
        return sum(round(flow.demand_w * MILLIWATTS_PER_W) for flow in self._passing.flows)

    @property
    def pool_uses(self) -> dict[str, PoolUse]:
        return pool_uses(self._passing.flows, self._limits.pool_w)

    def read_books(self, now_ns: int) -> RouterBooks:
        """The books as of now, not of the last tick."""
        self._passing.advance(now_ns)
        return self.books

    def fault(self) -> str:
        """What is not as it must be between events; empty where all is whole."""
        if sorted(flow.key for flow in self._passing.flows) != [hop.key for hop in self.table.hops]:
            return "its flows are not those of its circuit table"
        return self._passing.fault()

    def statuses(self) -> list[FlowStatus]:
        """The statuses of all flows at loads that have had power or were told to drain, and of promises without one.

        What was selected comes first: what is said of a standby counts once it is known to be one no more.
        """
        sinks = self._sinks()
        return [*self._selector.statuses(sinks), *self._sink_watch.statuses(sinks)]

    def lsa(self) -> RouterLsa:
        return self._advertiser.lsa()

    def _link_up(self, link_id: str) -> bool | None:
        line = self.lines.get(link_id)
        return None if line is None else line.up

    def _link_down(self, link_id: str) -> DownCause | None:
        return self.lines[link_id].adjacency.down_cause

    def _sinks(self) -> list[Flow]:
        return self._passing.index.sinks

    def _wake_by(self, deadline_ns: int) -> None:
        """Bring the timer forward: there is something to do. Other deadlines only move away while events come."""
        self._wake_ns = min(self._wake_ns, deadline_ns)

    def _find_deadline_ns(self) -> int:
        deadlines = [self._next_tick_ns, self._advertiser.next_ns]
        leeway_ns = self._punctuality.leeway_ns
        others = [self._rates.first_energy_ns, self.table.next_expiry_ns(), self._settling.next_ns]
        others += (line.next_deadline_ns(leeway_ns) for line in self.lines.values())
        others += (self._quick.next_ns, self._next_selection_ns())
        others.append(self._passing.quiet.until_ns)
        if not self._passing.at_rest:
            holding = [
                flow.play_ns for flow in self._passing.flows if flow.playout is Playout.HOLDING
            ]
            others += [max(min(holding), self._settling.plays_from_ns)] if holding else []
        return min(deadlines + [deadline for deadline in others if deadline is not None])

    @property
    def late_ns(self) -> int:
        """How late it was woken lately, at the worst."""
        return self._punctuality.late_ns

    @property
    def ticks_late_p99_ns(self) -> int:
        return self._punctuality.ticks_late_p99_ns

    @property
    def ticks_late_s(self) -> Histogram:
        return self._punctuality.ticks_late_s

    def _expire_lines(self, now_ns: int) -> None:
        leeway_ns = self._punctuality.leeway_ns
        expired = [line for line in self.lines.values() if line.expire(now_ns, leeway_ns)]
        if expired:
            self._passing.stop_standing(now_ns)
            self._link_state_changed(now_ns)
        for line in expired:
            self._sending.hello(line, now_ns)

    def _begin_at_sources(self, now_ns: int) -> None:
        """Send what sources that were granted power have put on the lines by now."""
        waiting = self._rates.take_first(now_ns)
        if waiting is None:
            return
        self._rates_changed(now_ns)
        for flow in waiting:
            if flow.egress is not None:
                self._sending.statements.tell(flow.egress, flow)

    def _tick(self, now_ns: int) -> None:
        if self._passing.quiet.outgrown(self._punctuality.cushion):
            # Found anew with the rates is what is worth having.
            self._passing.stop_standing(now_ns)
            self._passing.at_rest = False
        if self._settling.next_ns is not None or not self._passing.at_rest:
            self._rates_changed(now_ns)
        else:
            self._passing.advance(now_ns)
        if not self._passing.quiet.stands:
            self._report(self._sink_watch.ticked(self._sinks(), self._tick_began_ns, now_ns))
        else:
            self._report(self._sink_watch.missing(self._sinks(), now_ns))
        self._punctuality.note_tick(self._next_tick_ns, now_ns)
        self._tick_began_ns = now_ns
        missed_ticks = (now_ns - self._next_tick_ns) // self.config.tick_ns
        self._next_tick_ns += (missed_ticks + 1) * self.config.tick_ns
        self._sending.statements.whole.update(self.lines)

    def _must_select(self, now_ns: int) -> bool:
        at_ns = self._next_selection_ns()
        return at_ns is not None and now_ns >= at_ns

    def _next_selection_ns(self) -> int | None:
        return self._selector.next_ns(self._passing.advanced_ns, stands=self._passing.quiet.stands)

    def _play(self, now_ns: int) -> None:
        """Begin to spend what was held, where the cushion is there."""
        if self._passing.at_rest or now_ns < self._settling.plays_from_ns:
            return
        ready = [
            flow
            for flow in self._passing.flows
            if flow.playout is Playout.HOLDING and now_ns >= flow.play_ns
        ]
        if ready:
            self._passing.advance(now_ns)
        for flow in ready:
            flow.cushioned()
        if ready:
            self._settling.played(len(self._passing.flows), now_ns)
            self._unsettle(now_ns, urgent=False)

    def _link_state_changed(self, now_ns: int) -> None:
        self._advertise(now_ns)
        self._unsettle(now_ns)

    def _advertise(self, now_ns: int) -> None:
        self._sending.effects.append(Advertise(self._advertiser.next_lsa(now_ns)))

    def _take(self, line: Line, energy: Sequence[Energy], now_ns: int) -> list[Flow]:
        """Put what arrived into its flows' buffers. Returns the flows for which it is the first energy."""
        arrivals = self._passing.put(line, energy, self._punctuality.cushion, now_ns)
        if arrivals.filled:
            self._unsettle(now_ns, urgent=False)
        if arrivals.plays_ns is not None:
            self._wake_by(max(arrivals.plays_ns, self._settling.plays_from_ns))
        return arrivals.first

    def _unsettle(self, now_ns: int, *, urgent: bool = True) -> None:
        """Have the rates found anew: they are out of date. ``urgent``: a load may be in the dark until then."""
        self._wake_by(self._settling.want(now_ns, urgent=urgent))

    def _rates_changed(self, now_ns: int) -> None:
        self._settling.done(len(self._passing.flows), now_ns)
        self._report(self._rates.find(now_ns))

    def _change_flows(self, outcome: Outcome, now_ns: int) -> None:
        ended, begun = self._passing.change(outcome, now_ns)
        # Both neighbours of what ended must hear that nothing is wanted or granted any more.
        self._sending.statements.whole.update(
            line.link.id for flow in ended for line in (flow.ingress, flow.egress) if line
        )
        for flow in begun:
            if flow.egress is None:
                self._sink_watch.promises.begin(flow)
        for key in (*outcome.removed, *(hop.key for hop in (*outcome.added, *outcome.promoted))):
            self._passing.forget_rates(key.circuit_id)
        self._unsettle(now_ns, urgent=bool(ended or outcome.promoted))

    def _end(self, mutation: Mutation, now_ns: int) -> None:
        """Take down what a controller ends, and with its last generation what its load was promised."""
        self._passing.stop_standing(now_ns)
        if mutation.operation is Operation.DRAIN:
            self._passing.advance(now_ns)
            self._drain(mutation.circuits, now_ns)
        elif mutation.operation is not Operation.WITHDRAW:
            return
        self._passing.advance(now_ns)
        over = [key for key in mutation.circuits if key.circuit_id not in mutation.standing_ids]
        self._sink_watch.promises.end_up_to(over, self._sinks())

    def _drain(self, keys: Iterable[CircuitGeneration], now_ns: int) -> None:
        """Want nothing any more; what is not here, or has drained before, is drained."""
        sinks = {flow.key: flow for flow in self._sinks()}
        for key in keys:
            flow = sinks.get(key)
            if flow is None or flow.state is FlowState.DRAINED:
                self._report([FlowStatus(key, FlowState.DRAINED)])
            else:
                flow.draining, flow.settled = True, False
        self._unsettle(now_ns)

    def _report(self, statuses: Iterable[FlowStatus]) -> None:
        self._sending.effects.extend(
            Report(self._sink_watch.with_missing(status)) for status in statuses
        )
