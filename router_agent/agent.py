"""The edge of the device: the clock, the one timer, the lines, the disk and the sessions with controllers."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from digitalgrid.model import ElectionId
from router_agent.circuit_table import Mutation, Outcome
from router_agent.config import NS_PER_S, RouterConfig
from router_agent.device import RouterDevice
from router_agent.effects import (
    Advertise,
    Answer,
    Effect,
    Persist,
    Report,
    SaveBooks,
    SendDatagram,
)
from router_agent.session import ControllerSession
from router_agent.state import MeterFile, PromiseJournal
from router_agent.transport import Lines

log = logging.getLogger(__name__)


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
        self._sessions = [ControllerSession(address, self) for address in config.controllers]
        self._sessions_held = 0
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
        self._carry_out(self.device.mutate(mutation, time.monotonic_ns()), answer)
        self._arm()

    def greeted(self, controller: str, election_id: ElectionId) -> None:
        self._carry_out(self.device.greeted(controller, election_id))

    # ------------------------------------------------------------------ what the lines tell

    def datagram_received(self, link_id: str, datagram: bytes) -> None:
        self._carry_out(self.device.datagram_received(link_id, datagram, time.monotonic_ns()))
        self._arm()

    def carrier_changed(self, link_id: str, carrier: bool) -> None:
        self._carry_out(self.device.carrier_changed(link_id, carrier, time.monotonic_ns()))
        self._arm()

    # ------------------------------------------------------------------ inside

    def _carry_out(
        self, effects: Sequence[Effect], answer: Callable[[Outcome], None] | None = None
    ) -> None:
        for effect in effects:
            match effect:
                case SaveBooks():
                    self._meters.save()
                case SendDatagram(link_id, datagram):
                    self._lines.send(link_id, datagram)
                case Persist(election_id, floors):
                    self._journal.record(election_id, floors)
                case Answer(outcome):
                    if answer is not None:
                        answer(outcome)
                case Report(status):
                    for session in self._sessions:
                        session.report(status)
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
        self._meters.save()
        self._meters.close()
        self._journal.close()
