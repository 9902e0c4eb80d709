"""Sending: the frames that leave by a router's lines, and the effects that an event has, in their order."""

from collections.abc import Iterable, Mapping

from router_agent.device.effects import Effect, SaveBooks, SendDatagram
from router_agent.device.line import Line
from router_agent.device.passing import Passing
from router_agent.device.punctuality import Punctuality
from router_agent.device.quick_packets import QuickPackets
from router_agent.device.statements import Statements


class Sending:
    """``effects`` are those of the event that is under way. ``statements``: what lines must hear of."""

    def __init__(
        self,
        effects: list[Effect],
        lines: Mapping[str, Line],
        passing: Passing,
        punctuality: Punctuality,
        quick: QuickPackets,
    ) -> None:
        self.effects = effects
        self.statements = Statements()
        self._lines = lines
        self._passing = passing
        self._punctuality = punctuality
        self._quick = quick

    def take_effects(self) -> list[Effect]:
        effects = self.effects[:]
        self.effects.clear()
        return effects

    def hello(self, line: Line, now_ns: int) -> None:
        self._send(line, [line.hello(now_ns, self._punctuality.late_again_ns)])

    def due_hellos(self, now_ns: int) -> None:
        for line in self._lines.values():
            if line.next_hello_ns is not None and now_ns >= line.next_hello_ns:
                self.hello(line, now_ns)

    def due_states(self, now_ns: int) -> None:
        """One state for each line that has news, however much has changed."""
        for link_id in self.statements.take_due():
            line = self._lines[link_id]
            if line.up:
                self._save_books()
                self._send(line, self._frames(line, now_ns))
        self.statements.done()

    def quick_packets(self, now_ns: int) -> None:
        """Send the energy of flows that prime below, where no frame with it is due anyway."""
        if self._quick.next_ns is None or now_ns < self._quick.next_ns:
            return
        passing = self._passing
        self._quick.sent(passing.flows, now_ns)
        passing.advance(now_ns)
        for line in self._lines.values():
            if line.up and line.link.id not in self.statements.whole:
                grants = [
                    (flow.key, flow.stated_grant)
                    for flow in passing.index.leaving(line)
                    if flow.quick and flow.key in line.pending
                ]
                self._save_books()
                self._send(line, line.part_frames(grants, (), now_ns))

    def farewell(self, now_ns: int) -> None:
        """The router leaves: its neighbours are told at once instead of finding out."""
        self._save_books()
        for line in self._lines.values():
            if line.up:
                index = self._passing.index
                frames = self.statements.state_frames(line, index, now_ns, at_rest=False)
                self._send(line, frames)
                line.restart()
                self.hello(line, now_ns)

    def _frames(self, line: Line, now_ns: int) -> list[bytes]:
        passing = self._passing
        if passing.quiet.stands and line.out.stream is None and line.out.may_stand:
            # No power leaves by it: it need not have stood from the beginning.
            line.stand({}, now_ns)
        if line.out.stream is not None:
            return [line.standing_frame(now_ns, self._punctuality.late_again_ns)]
        return self.statements.frames(line, passing.index, now_ns, at_rest=passing.at_rest)

    def _send(self, line: Line, datagrams: Iterable[bytes]) -> None:
        self.effects.extend(SendDatagram(line.link.id, datagram) for datagram in datagrams)

    def _save_books(self) -> None:
        """Before energy is sent. What is received and not saved when the router dies is lost to that fault."""
        if self._passing.unsaved:
            self.effects.append(SaveBooks())
            self._passing.unsaved = False
