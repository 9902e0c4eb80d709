"""The edge of the device: the clock, the one timer, the lines, the disk and the sessions with controllers."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from digitalgrid.model import ElectionId
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.units import NS_PER_S
from router_agent.config import RouterConfig
from router_agent.device.circuit_table import Mutation, Outcome
from router_agent.device.device import RouterDevice
from router_agent.device.effects import (
    Advertise,
    Answer,
    Effect,
    Report,
    SaveBooks,
    SendDatagram,
)
from router_agent.device.promise import Promise
from router_agent.device.remark import Remark
from router_agent.session import ControllerSession
from router_agent.state import MeterFile, PromiseJournal
from router_agent.transport import Lines

log = logging.getLogger(__name__)


class DiskTrouble:
    """Around each attempt at writing: says once that it fails, and once that it does no more."""

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
            log.error("the disk fails (%s): %s", error.strerror, self._consequence)
        elif error is None and self._stands:
            log.info("the disk works again")
        self._stands = isinstance(error, OSError)


class Agent:
    """One router, living in one event loop. Raises StateError or OSError when it cannot begin."""

    def __init__(self, config: RouterConfig, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._journal = PromiseJournal(config.state_path)
        self._meters = MeterFile(config.state_path)
        books = self._meters.load()
        books.dissipate_buffers()
        self.instance_id = self._journal.instance_id
        self.device = RouterDevice(
            config,
            self._journal.boot_id,
            books,
            time.monotonic_ns(),
            self._journal.election_id,
            self._journal.floors,
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
        self._remarks = LimitedLog(log)
        self._timer: asyncio.TimerHandle | None = None
        self._lines = Lines(loop, config.links, self)

    async def run(self, stop: asyncio.Event) -> None:
        """Live until ``stop`` is set, then leave in order: neighbours are told, the books are saved."""
        tasks = [asyncio.create_task(session.run()) for session in self._sessions]
        log.info("router %s runs, boot %d", self.device.config.router_id, self.device.boot_id)
        self._arm()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._carry_out(self.device.stop(time.monotonic_ns()))
        self._close()
        for task in (stopping, *tasks):
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    # ------------------------------------------------------------------ what the sessions need

    def next_session_no(self) -> int:
        self._sessions_held += 1
        return self._sessions_held

    def mutate(self, mutation: Mutation, answer: Callable[[Outcome], None]) -> None:
        """What the answer promises is on disk before anything is done; where it cannot be, nothing is."""
        try:
            self._promise(self.device.table.promised_by(mutation))
        except OSError as error:
            message = f"cannot make this durable: {error.strerror}; nothing was done, ask again"
            answer(self.device.table.not_durable(mutation, message))
            return
        self._carry_out(self.device.mutate(mutation, time.monotonic_ns()), answer)
        self._arm()

    def greeted(self, controller: str, election_id: ElectionId) -> None:
        if election_id > self.device.table.highest_election_id:
            self._promise(Promise(election_id))
            self.device.table.greet(controller, election_id)

    # ------------------------------------------------------------------ what the lines tell

    def datagram_received(self, link_id: str, datagram: bytes) -> None:
        self._carry_out(self.device.datagram_received(link_id, datagram, time.monotonic_ns()))
        self._arm()

    def carrier_changed(self, link_id: str, carrier: bool) -> None:
        self._carry_out(self.device.carrier_changed(link_id, carrier, time.monotonic_ns()))
        self._arm()

    # ------------------------------------------------------------------ inside

    def _promise(self, promise: Promise) -> None:
        """OSError where it cannot be made durable, and then it is not made."""
        if promise:
            with self._journal_trouble:
                self._journal.record(promise.election_id, promise.floors)

    def _save_books(self) -> None:
        """Power goes on without: what a crash would then cost is figures, and a load in the dark is worse."""
        with suppress(OSError), self._meters_trouble:
            self._meters.save()

    def _carry_out(
        self, effects: Sequence[Effect], answer: Callable[[Outcome], None] | None = None
    ) -> None:
        for effect in effects:
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
                case Remark(level, kind, text):
                    self._remarks.log(time.monotonic_ns(), level, kind, "%s", text)
                case Advertise(lsa):
                    for session in self._sessions:
                        session.advertise(lsa)

    def _arm(self) -> None:
        """Have the timer fire no later than the device's next deadline."""
        at_s = self.device.next_deadline_ns() / NS_PER_S
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at_s, self._fired)

    def _fired(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        if now_ns >= self.device.next_deadline_ns():
            self._carry_out(self.device.timer(now_ns))
        self._arm()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._lines.close()
        self._save_books()
        self._meters.close()
        self._journal.close()
