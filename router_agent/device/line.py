"""One end of a power link: its adjacency, its books, and what its two ends have stated to each other."""

import logging
from collections.abc import Callable, Iterable, Mapping

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import (
    DemandRecord,
    Frame,
    PowerRecord,
    encode,
    name_hash,
    record_of,
    split_records,
)
from router_agent.config import LinkConfig, RouterConfig
from router_agent.device.adjacency import Adjacency, Verdict
from router_agent.device.arrival import NOTHING, Arrival, Energy
from router_agent.device.frame_guard import FrameGuard, ImplausibleFrameError
from router_agent.device.frame_reader import FrameReader, sender_late_ns
from router_agent.device.lateness import MAX_LATE_MS, ToldLateness
from router_agent.device.line_load import LineLoad
from router_agent.device.line_streams import InStream, OutStream
from router_agent.device.meters import LinkBooks
from router_agent.device.neighbor_state import (
    NO_GRANT,
    Grant,
    NeighborState,
    TooManyRecordsError,
    power_record,
)
from router_agent.device.remark import Remark
from router_agent.device.stream import Stream


class Line:
    """Pure: datagrams and carrier events in, datagrams out, the time passed in.

    ``tell`` is handed what whoever runs the router should know.
    """

    def __init__(
        self,
        link: LinkConfig,
        router: RouterConfig,
        boot_id: int,
        books: LinkBooks,
        start_ns: int,
        tell: Callable[[Remark], None],
    ) -> None:
        self.link = link
        self.books = books
        self.adjacency = Adjacency(boot_id, router.dead_ns)
        self.load = LineLoad(link.voltage_v, link.ampacity_a, books)
        self._guard = FrameGuard(link, router, start_ns)
        self._reader = FrameReader(link, self._guard, books, tell)
        self.stated = NeighborState(router.dead_ns)
        self.out = OutStream()
        self.into = InStream(books, self.load, self._guard, self.stated)
        # Sent since the last frame: received and loss.
        self.pending: dict[CircuitGeneration, tuple[int, int]] = {}
        self._pending_since_ns = start_ns
        self._pending_until_ns = start_ns
        # Since when each waits.
        self._waits_since_ns: dict[CircuitGeneration, int] = {}
        self._first_of_adjacency = True
        # It is of a release that knows marks; what it says of itself in every frame.
        self.neighbor_reads_marks = False
        self._neighbor_late = ToldLateness(router.hello_ns, router.dead_ns)
        # Of that, what it said while it was late, and not that it may be so again.
        self._late_by_pulses = ToldLateness(router.hello_ns, router.dead_ns)
        self._seq = 0
        self._frame_bytes = router.frame_bytes
        self._hello_ns = router.hello_ns
        self._last_sent_ns = start_ns
        self._link_hash = name_hash(link.id)
        self._router_hash = name_hash(router.router_id)

    @property
    def up(self) -> bool:
        return self.adjacency.up

    @property
    def next_hello_ns(self) -> int | None:
        return self._last_sent_ns + self._hello_ns if self.adjacency.carrier else None

    def next_deadline_ns(self, leeway_ns: int) -> int | None:
        """The next hello, or the neighbour's death; None without carrier."""
        patience_ns = self._patience_ns(leeway_ns)
        hello_ns, dead_ns = self.next_hello_ns, self.adjacency.deadline_ns(patience_ns)
        if hello_ns is None or dead_ns is None:
            return hello_ns
        return min(hello_ns, dead_ns)

    def set_carrier(self, carrier: bool) -> bool:
        """True when that took the line down."""
        was_up = self.up
        self.adjacency.set_carrier(carrier)
        return self._note_down(was_up, "its carrier is lost")

    def expire(self, now_ns: int, leeway_ns: int) -> bool:
        """True when a silent neighbour took the line down."""
        was_up = self.up
        patience_ns = self._patience_ns(leeway_ns)
        self.adjacency.expire(now_ns, patience_ns)
        self.stated.expire(now_ns)
        if self.up or not was_up:
            return False
        # Whoever reads it sees whether a router was late, or its line is dead.
        silent_ms = (self.adjacency.silent_ns(now_ns) or 0) // NS_PER_MS
        waited = f"{patience_ns // NS_PER_MS} ms were allowed for routers that are late"
        return self._note_down(was_up, f"its far end is silent for {silent_ms} ms; {waited}")

    def _patience_ns(self, leeway_ns: int) -> int:
        """By how much longer than usual the neighbour may be silent: what this end allows, or what it was told for as
        long as that counts.
        """
        deadline_ns = self.adjacency.deadline_ns()
        told_ns = 0 if deadline_ns is None else self._neighbor_late.after(deadline_ns)
        return max(leeway_ns, told_ns)

    def told_late_ns(self, now_ns: int, heard_within_ns: int) -> int:
        """How late its far end says that it is, or was a moment ago; 0 where it was not heard for so long."""
        silent_ns = self.adjacency.silent_ns(now_ns)
        heard = self.up and silent_ns is not None and silent_ns <= heard_within_ns
        return self._late_by_pulses.after(now_ns) if heard else 0

    def restart(self) -> None:
        was_up = self.up
        self.adjacency.restart()
        self._note_down(was_up, "this end leaves")

    def put(self, key: CircuitGeneration, received_mj: int, loss_mj: int) -> None:
        """Energy leaves this end: it counts as sent now, and goes with the next frame."""
        self.books.sent_mj += received_mj + loss_mj
        self.books.line_loss_mj += loss_mj
        before = self.pending.get(key)
        if before is None:
            self._waits_since_ns[key] = self._pending_until_ns
            self.pending[key] = (received_mj, loss_mj)
        else:
            self.pending[key] = (before[0] + received_mj, before[1] + loss_mj)

    def close_segment(self, start_ns: int, end_ns: int, received_mj: int, circuits: int) -> None:
        """All that was put on the line between two instants is known."""
        if received_mj:
            self.load.add_sent(start_ns, end_ns, received_mj, circuits)
        self._pending_until_ns = end_ns

    def state_frames(
        self,
        grants: Iterable[tuple[CircuitGeneration, Grant]],
        demands: Iterable[DemandRecord],
        now_ns: int,
        *,
        anew: bool = True,
    ) -> list[bytes]:
        """The whole state of this end, with the pending energy. Grants and demands of nothing are left out.

        ``anew``: it is not, or may not be, what was stated before.
        """
        pending, self.pending = self.pending, {}
        power = []
        for key, grant in grants:
            energy = pending.pop(key, None)
            if energy or grant != NO_GRANT:
                power.append(power_record(key, energy or (0, 0), grant))
        power += [power_record(key, energy, NO_GRANT) for key, energy in pending.items()]
        marked = self.neighbor_reads_marks
        wanted = [each for each in demands if each.demand_mw or (marked and each.marks)]
        shares = list(split_records(power, wanted, self._frame_bytes, marked=marked))
        total_mj = self.books.total_mj - sum([record.received_mj for record in power])
        datagrams = []
        for part, (share, asked) in enumerate(shares):
            total_mj += sum([record.received_mj for record in share])
            datagrams.append(self._datagram(total_mj, part, len(shares), share, asked))
        self._pending_since_ns = self._pending_until_ns
        self._waits_since_ns.clear()
        self._last_sent_ns = now_ns
        self.out.stated(self._seq, anew=anew)
        return datagrams

    def part_frames(
        self,
        grants: Iterable[tuple[CircuitGeneration, Grant]],
        demands: Iterable[DemandRecord],
        now_ns: int,
    ) -> list[bytes]:
        """What is stated of some flows, with their pending energy, ahead of the state: the first part of one of which
        the others never come, so that it says nothing of what it does not name.
        """
        self.out.changed()
        total_mj = self._sent_total_mj
        power = []
        since_ns = self._pending_until_ns
        for key, grant in grants:
            energy = self.pending.pop(key, None)
            if energy is not None:
                since_ns = min(since_ns, self._waits_since_ns[key])
            power.append(power_record(key, energy or (0, 0), grant))
        wanted = list(demands)
        marked = self.neighbor_reads_marks
        shares = split_records(power, wanted, self._frame_bytes, marked=marked)
        datagrams = []
        for share, asked in shares if power or wanted else ():
            total_mj += sum([record.received_mj for record in share])
            datagrams.append(self._datagram(total_mj, 0, 2, share, asked, since_ns))
            self._last_sent_ns = now_ns
        return datagrams

    def hello(self, now_ns: int, late_ns: int = 0) -> bytes:
        """``late_ns``: how late this router is, so that its neighbour does not take that for a fault of the line."""
        self._last_sent_ns = now_ns
        late_ms = min(late_ns // NS_PER_MS, MAX_LATE_MS)
        if self.out.stream is None:
            return self._datagram(self._sent_total_mj, late_ms, 0, (), ())
        return self._datagram(self.out.total_mj, late_ms, 0, (), (), self._pending_until_ns)

    def sign(self) -> bytes:
        """The sign of life that was given last, under the last frame's number, as of when that left: what a pulse says
        while the next is late (signs.py). Empty without carrier.
        """
        if not self.adjacency.carrier:
            return b""
        return encode(
            Frame(
                link_hash=self._link_hash,
                sender_hash=self._router_hash,
                discriminator=self.adjacency.discriminator,
                heard_discriminator=self.adjacency.neighbor_discriminator,
                seq=self._seq,
                origin_ns=self._last_sent_ns,
                interval_ns=0,
                total_mj=0,
                reads_marks=True,
                reads_standing=True,
                pulse=True,
            )
        )

    def standing_frame(self, now_ns: int, late_ns: int = 0) -> bytes:
        """All is as it was stated, and has flowed until now."""
        stream = self.out.stream
        if stream is None:
            raise RuntimeError(f"line {self.link.id} does not stand")
        began_ns = self._pending_until_ns
        self._stream_until(stream, now_ns)
        self._last_sent_ns = now_ns
        late_ms = min(late_ns // NS_PER_MS, MAX_LATE_MS)
        return self._datagram(self.out.total_mj, late_ms, 0, (), (), began_ns)

    def stand(self, rates_mw: Mapping[CircuitGeneration, int], now_ns: int) -> None:
        """From now on the grants that were stated flow as a stream; nothing waits to be sent."""
        self._pending_since_ns = self._pending_until_ns = now_ns
        self.out.begin(rates_mw, now_ns, self.books.total_mj)

    def end_stream(
        self, stream: Stream, moved: Mapping[CircuitGeneration, tuple[int, int]], now_ns: int
    ) -> None:
        """What has ``moved`` since the last standing frame goes with the next frame; it is in the books by now."""
        self._pending_since_ns = stream.until_ns
        self._waits_since_ns = dict.fromkeys(moved, stream.until_ns)
        self.pending = dict(moved)
        self._stream_until(stream, now_ns)
        self.out.stream = None

    def _stream_until(self, stream: Stream, now_ns: int) -> None:
        about_mj = stream.about_mj(now_ns)
        self.close_segment(stream.until_ns, now_ns, about_mj, stream.circuits)
        stream.until_ns = now_ns

    @property
    def _sent_total_mj(self) -> int:
        """All that was told of by now: what waits for the next frame is not."""
        return self.books.total_mj - self.waits_mj

    @property
    def waits_mj(self) -> int:
        """Energy that is in the books and goes with the next frame."""
        if self.out.stream is not None:
            return self.books.total_mj - self.out.total_mj - self.out.stream.told_mj
        return sum(received_mj for received_mj, _ in self.pending.values())

    def receive(self, datagram: bytes, now_ns: int) -> Arrival:
        frame = self._reader.frame_of(datagram)
        if frame is None:
            self.books.frames_dropped += 1
            return NOTHING
        if frame.pulse:
            return self._pulsed(frame, now_ns)
        was_up, knew = self.up, self.adjacency.neighbor_discriminator
        verdict = self.adjacency.judge(
            frame.discriminator, frame.heard_discriminator, frame.seq, now_ns
        )
        if verdict is Verdict.STALE:
            self.books.frames_dropped += 1
            return NOTHING
        lost_mj: int | None = None
        stream_broke = False
        try:
            if verdict is Verdict.TAKEN and frame.stands_on:
                stream_broke = self.into.take(frame, self._first_of_adjacency, now_ns)
            elif verdict is Verdict.TAKEN:
                self.into.end()
                lost_mj = self._guard.lost_mj(
                    frame, self.books.heard_total_mj, self._first_of_adjacency, now_ns
                )
        except ImplausibleFrameError as error:
            self._reader.refuse(str(error))
            return NOTHING
        self.adjacency.hear(verdict, frame.discriminator, frame.seq, now_ns)
        went_down = self._note_down(was_up, "its far end says so")
        self.books.frames_received += 1
        self.neighbor_reads_marks = frame.reads_marks
        self.out.neighbor_reads = frame.reads_standing
        if not frame.parts:
            self._neighbor_late.hear(sender_late_ns(frame), now_ns)
        owes_hello = went_down or knew != frame.discriminator
        if verdict is Verdict.HEARD:
            return Arrival(went_down=went_down, owes_hello=owes_hello)
        self.out.neighbor_has = frame.heard_state
        unfounded = self.out.unfounded
        if frame.stands_on:
            return Arrival(
                stands=True, lost=stream_broke, owes_hello=owes_hello, unfounded=unfounded
            )
        energy = self._book(frame, lost_mj)
        restated = bool(frame.parts) and self._restate(self._reader.clamped(frame), now_ns)
        urgent, went_up = restated and self.stated.urgent, not was_up
        return Arrival(
            energy, restated, urgent, went_up, owes_hello=owes_hello, unfounded=unfounded
        )

    def _pulsed(self, frame: Frame, now_ns: int) -> Arrival:
        """Its sender is late: it is waited for by so much longer."""
        header = (frame.discriminator, frame.heard_discriminator, frame.seq)
        if self.adjacency.pulsed(*header, now_ns):
            for told in (self._neighbor_late, self._late_by_pulses):
                told.hear_at_least(sender_late_ns(frame), now_ns)
        return NOTHING

    def _book(self, frame: Frame, lost_mj: int | None) -> tuple[Energy, ...]:
        """Take the frame's energy; what its total says came before and never did is lost."""
        books = self.books
        received_mj = frame.received_mj
        if lost_mj is None:
            self._reader.remark(
                logging.WARNING,
                "anew",
                f"counts anew from its neighbour's total of {frame.total_mj} mJ, after {books.heard_total_mj} mJ",
            )
        elif self._first_of_adjacency:
            books.lost_to_faults_mj += lost_mj
        else:
            books.lost_in_transit_mj += lost_mj
        self._first_of_adjacency = False
        books.heard_total_mj = frame.total_mj
        if not received_mj:
            return ()
        books.received_mj += received_mj
        end_ns = frame.origin_ns
        self.load.add_received(end_ns - frame.interval_ns, end_ns, received_mj, len(frame.power))
        return tuple([record_of(Energy, each[:2]) for each in frame.power if each[1]])

    def _restate(self, frame: Frame, now_ns: int) -> bool:
        try:
            return self.stated.take(frame, now_ns)
        except TooManyRecordsError as error:
            self._reader.refuse(str(error))
            return False

    def _note_down(self, was_up: bool, why: str) -> bool:
        """True when an adjacency has ended: what it had stated is void, its pending energy lost to the fault."""
        if not was_up or self.up:
            return False
        self._reader.remark(logging.INFO, "down", f"is down: {why}")
        self.pending = {}
        self.into.end()
        self.out.forget()
        self.stated.forget()
        self._reader.ends_differ = False
        self._neighbor_late.forget()
        self._late_by_pulses.forget()
        self._pending_since_ns = self._pending_until_ns
        self._first_of_adjacency = True
        return True

    def _datagram(
        self,
        total_mj: int,
        part: int,
        parts: int,
        power: tuple[PowerRecord, ...],
        demands: tuple[DemandRecord, ...],
        since_ns: int | None = None,
    ) -> bytes:
        self._seq += 1
        self.books.frames_sent += 1
        began_ns = self._pending_since_ns if since_ns is None else since_ns
        stream = self.out.stream
        frame = Frame(
            link_hash=self._link_hash,
            sender_hash=self._router_hash,
            discriminator=self.adjacency.discriminator,
            heard_discriminator=self.adjacency.neighbor_discriminator,
            seq=self._seq,
            origin_ns=self._pending_until_ns,
            interval_ns=self._pending_until_ns - began_ns,
            total_mj=min(total_mj, MAX_INT64),
            part=part,
            parts=parts,
            power=power,
            demands=demands,
            reads_marks=True,
            marked=self.neighbor_reads_marks,
            reads_standing=True,
            tells_standing=self.out.neighbor_reads,
            heard_state=0 if self._reader.ends_differ else self.stated.whole_seq,
            stands_on=0 if stream is None else self.out.stands_on,
            stands_since_ns=0 if stream is None else stream.since_ns,
        )
        return encode(frame)
