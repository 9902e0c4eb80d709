"""The edge of the device: the clock, the one timer, the lines, the disk and the sessions with controllers."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from digitalgrid.config_file import ConfigError
from digitalgrid.model import ElectionId, Operation, ResultCode
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.supervision import start_task
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from router_agent.device.device import RouterDevice
from router_agent.device.effects import (
    Advertise,
    Answer,
    Effect,
    Report,
    SaveBooks,
    SendDatagram,
)
from router_agent.device.mutation import Mutation, Outcome
from router_agent.device.promise import Promise
from router_agent.device.remark import Remark
from router_agent.failures import DeviceFailedError, Failures
from router_agent.limits import read_load_limits, read_source_limits
from router_agent.meter_file import MeterFile
from router_agent.pulse import Pulse
from router_agent.session import ControllerSession
from router_agent.state import PromiseJournal
from router_agent.transport import Lines

if TYPE_CHECKING:
    from router_agent.tracing import OrderSpans

_log = logging.getLogger(__name__)

# After a failure of the timer: whatever was due stays due, and must not spin.
_AFTER_FAILURE_NS = 10 * NS_PER_MS


class DiskTrouble:
    """Logs a failing disk by its edges: at attempts to write, says once that it fails, once that it works."""

    def __init__(self, consequence: str) -> None:
        self._consequence = consequence
        self._stands = False

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError) and not self._stands:
            _log.error("the disk fails (%s): %s", error.strerror, self._consequence)
        elif error is None and self._stands:
            _log.info("the disk works again")
        self._stands = isinstance(error, OSError)


class Agent:
    """One router, living in one event loop. Raises StateError or OSError when it cannot begin."""

    def __init__(
        self,
        config: RouterConfig,
        loop: asyncio.AbstractEventLoop,
        order_spans: "OrderSpans | None" = None,
        pulse: Pulse | None = None,
    ) -> None:
        """``pulse``: says that it lives while its work keeps it from that."""
        self._loop = loop
        self.order_spans = order_spans
        self._failures = Failures(_log, time.monotonic_ns)
        self._remarks = LimitedLog(_log)
        self._journal = PromiseJournal(config.state_path)
        self._meters = MeterFile(config.state_path)
        books = self._meters.load()
        books.dissipate_buffers(self._journal.floors)
        # By the clock on the wall, the only one that goes on when the machine does not.
        now_unix_ns = time.time_ns()
        away_ns = max(0, now_unix_ns - books.saved_unix_ns) if books.saved_unix_ns else 0
        books.saved_unix_ns = now_unix_ns
        self.instance_id = self._journal.instance_id
        self.device = RouterDevice(
            config,
            self._journal.boot_id,
            books,
            time.monotonic_ns(),
            self._journal.election_id,
            self._journal.floors,
            away_ns,
        )
        self._meters.keep(books)
        self._journal_trouble = DiskTrouble(
            "promises cannot be made durable. Circuits run on, and changes are refused until they can be"
        )
        self._meters_trouble = DiskTrouble(
            "meters cannot be saved. Circuits run on; a crash would take the books back to where they were last saved"
        )
        self._sessions = [ControllerSession(address, self) for address in config.controllers]
        self._sessions_held = 0
        # Answers to controllers' orders.
        self.answered: Counter[tuple[Operation, ResultCode]] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._failed: asyncio.Future[None] = loop.create_future()
        self._lines = Lines(loop, config.links, self)
        self._pulse = pulse

    async def run(self, stop: asyncio.Event) -> None:
        """Live until ``stop`` is set, then leave in order: neighbours are told, the books are saved.

        Raises DeviceFailedError where it ends because the device cannot be trusted any more: then neither is done.
        """
        self._loop.set_exception_handler(self._callback_failed)
        tasks = [
            start_task(f"the session with {session.address}", session.run)
            for session in self._sessions
        ]
        if self._pulse is not None:
            self._loop.add_reader(self._pulse, self._pulse_ended)
        _log.info("router %s runs, boot %d", self.device.config.router_id, self.device.boot_id)
        self.read_limits()
        self._arm()
        stopping = self._loop.create_task(_until(stop))
        await asyncio.wait([stopping, self._failed], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
        self._leave()
        if self._failed.done():
            self._failed.result()

    @property
    def sessions_standing(self) -> int:
        return sum(session.stands for session in self._sessions)

    # What the sessions need.

    def next_session_no(self) -> int:
        self._sessions_held += 1
        return self._sessions_held

    def mutate(self, mutation: Mutation, answer: Callable[[Outcome], None]) -> None:
        """Apply a controller's mutation, with a write-ahead log: what the answer promises is on disk before anything is
        done; where it cannot be, nothing is.
        """

        def counted(outcome: Outcome) -> None:
            self.answered[outcome.operation, outcome.code] += 1
            answer(outcome)

        try:
            self._promise(self.device.table.promised_by(mutation))
        except OSError as error:
            message = f"cannot make this durable: {error.strerror}; nothing was done, ask again"
            counted(self.device.table.not_durable(mutation, message))
            return
        self._event(
            "a controller's order",
            lambda now_ns: self.device.mutate(mutation, now_ns),
            answer=counted,
        )

    def greeted(self, controller: str, election_id: ElectionId) -> None:
        if election_id > self.device.table.highest_election_id:
            self._promise(Promise(election_id))
            self.device.table.greet(controller, election_id)

    # What the operator tells.

    def read_limits(self) -> None:
        """Take over what sources can give and loads take by now; what cannot be read stays as it was, and at a
        start there are no limits.
        """
        device = self.device
        self._take_limits("source", read_source_limits, device.source_limit)
        self._take_limits("load", read_load_limits, device.load_limit)

    def _take_limits(
        self,
        kind: str,
        read: Callable[[RouterConfig], Mapping[str, float]],
        tell: Callable[[str, float, int], list[Effect]],
    ) -> None:
        try:
            limits = read(self.device.config)
        except (ConfigError, OSError) as error:
            _log.error(
                "limits of %ss are not read, and those that were read last hold, after a start none: %s; mend the file,"
                " then send SIGHUP",
                kind,
                error,
            )
            return
        for each, limit in limits.items():
            self._event(f"a {kind}'s limit", partial(tell, each, limit))

    # What the lines tell.

    def datagram_received(self, link_id: str, datagram: bytes) -> None:
        self._event(
            "a frame", lambda now_ns: self.device.datagram_received(link_id, datagram, now_ns)
        )

    def carrier_changed(self, link_id: str, carrier: bool) -> None:
        self._event(
            "news of a carrier",
            lambda now_ns: self.device.carrier_changed(link_id, carrier, now_ns),
        )
        self._sign({link_id})

    # Inside.

    def _event(
        self,
        what: str,
        event: Callable[[int], list[Effect]],
        *,
        again: bool = False,
        answer: Callable[[Outcome], None] | None = None,
    ) -> None:
        """Let the device deal with an event, carry out what it asks for, and wake it in time.

        ``again``: the event comes back where it fails.
        """
        if self._failed.done():
            return
        now_ns = time.monotonic_ns()
        earliest_ns = 0
        try:
            effects = event(now_ns)
        except Exception as error:  # noqa: BLE001 - the rule for all of them is in failures.py
            effects, earliest_ns = [], now_ns + _AFTER_FAILURE_NS
            try:
                self._failures.inside(what, error, self.device.fault(), again=again)
            except DeviceFailedError as failed:
                self._failed.set_exception(failed)
                return
        self._carry_out(effects, answer)
        self._arm(earliest_ns)

    def _callback_failed(
        self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]
    ) -> None:
        """An exception in a callback of the loop that is none of the device's."""
        error = context.get("exception")
        if not isinstance(error, Exception):
            error = RuntimeError(str(context.get("message")))
        self._failures.outside("a callback", error)

    def _promise(self, promise: Promise) -> None:
        """OSError where it cannot be made durable, and then it is not made."""
        if promise:
            with self._journal_trouble:
                self._journal.record(promise.election_id, promise.floors)

    def _save_books(self) -> None:
        """Save the meters. Where the disk fails power goes on: a crash would then cost figures, and a load in the dark
        is worse.
        """
        self.device.books_to_save.saved_unix_ns = time.time_ns()
        with suppress(OSError), self._meters_trouble:
            self._meters.save()

    def _carry_out(
        self, effects: Sequence[Effect], answer: Callable[[Outcome], None] | None = None
    ) -> None:
        """Lines go before controllers, whose news cost more and are less urgent. One that fails keeps no other from
        being carried out.
        """
        for effect in sorted(effects, key=_is_for_controllers):
            try:
                self._do(effect, answer)
            except Exception as error:  # noqa: BLE001 - the rule for all of them is in failures.py
                self._failures.outside(type(effect).__name__, error)
        self._sign({each.link_id for each in effects if isinstance(each, SendDatagram)})

    def _sign(self, link_ids: Iterable[str]) -> None:
        """What was said last on these lines is what a pulse repeats."""
        if self._pulse is not None:
            for link_id in link_ids:
                self._pulse.sign(
                    link_id, self.device.lines[link_id].sign(), self._lines.end(link_id)
                )

    def _pulse_ended(self) -> None:
        """By itself: this router goes on, and is as late with its signs of life as with its work."""
        self._stop_pulse()
        _log.error("nothing says any more that this router lives while it is late: start it again")

    def _stop_pulse(self) -> None:
        if self._pulse is not None:
            self._loop.remove_reader(self._pulse)
            self._pulse.close()
            self._pulse = None

    def _do(self, effect: Effect, answer: Callable[[Outcome], None] | None) -> None:
        match effect:
            case SaveBooks():
                self._save_books()
            case SendDatagram(link_id, datagram):
                self._lines.send(link_id, datagram)
            case Answer(outcome):
                if answer is not None:
                    answer(outcome)
            case Report(status):
                for session in self._sessions:
                    session.report(status)
            case Remark(level, kind, text, fields):
                self._remarks.log(time.monotonic_ns(), level, kind, "%s", text, fields=fields)
            case Advertise(lsa):
                for session in self._sessions:
                    session.advertise(lsa)

    def _arm(self, earliest_ns: int = 0) -> None:
        """Have the timer fire no later than the device's next deadline."""
        at_s = max(self.device.next_deadline_ns(), earliest_ns) / NS_PER_S
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at_s, self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._event("the timer", self._on_time, again=True)

    def _on_time(self, now_ns: int) -> list[Effect]:
        return self.device.timer(now_ns) if now_ns >= self.device.next_deadline_ns() else []

    def _leave(self) -> None:
        """Whatever fails here hides no cause, and keeps nothing else from being closed."""
        steps: list[Callable[[], None]] = [
            self._stop_pulse,
            self._lines.close,
            self._meters.close,
            self._journal.close,
        ]
        if not self._failed.done():
            steps[2:2] = [self._save_books]
            steps[1:1] = [lambda: self._carry_out(self.device.stop(time.monotonic_ns()))]
        if self._timer is not None:
            self._timer.cancel()
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the rule for all of them is in failures.py
                self._failures.outside("leaving", error)


def _is_for_controllers(effect: Effect) -> bool:
    return isinstance(effect, Report | Advertise | Answer)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
