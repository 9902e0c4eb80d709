"""Agents joined by lines that deliver frames in order, each line in its own time; counts messages and rounds."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from router_agent.distributed.coordination import CoordinatedAgent
from router_agent.distributed.messages import Frame, Outgoing
from router_agent.distributed.problem import Cell, Line, UnusableProblem


class NotSettled(RuntimeError):
    """A run has exceeded its bound."""


@dataclass(frozen=True, slots=True)
class Effort:
    """``rounds`` is the longest chain of messages of which each was caused by the one before it."""

    messages: int
    rounds: int


Agent = TypeVar("Agent", bound=CoordinatedAgent)


class SimulatedNetwork(Generic[Agent]):
    """``order``: "rounds" delivers all that was sent in a round in the next; "random" takes any line's oldest frame."""

    def __init__(
        self,
        make_agent: Callable[[Cell, Iterable[Line]], Agent],
        cells: Iterable[Cell],
        lines: Iterable[Line],
        order: Literal["rounds", "random"] = "rounds",
        seed: int = 0,
    ) -> None:
        self.lines = {line.id: line for line in lines}
        self.agents: dict[str, Agent] = {}
        for cell in cells:
            if cell.router in self.agents:
                raise UnusableProblem(f"router {cell.router} is there twice")
            own = [line for line in self.lines.values() if cell.router in (line.a, line.b)]
            self.agents[cell.router] = make_agent(cell, own)
        for line in self.lines.values():
            for router in (line.a, line.b):
                if router not in self.agents:
                    raise UnusableProblem(f"line {line.id} ends at {router}, which is no router")
        self._order = order
        self._random = random.Random(seed)
        # Frames under way by (line, receiver), each with the length of the chain that led to it.
        self._queues: dict[tuple[str, str], deque[tuple[int, Frame]]] = {}
        self._busy: list[tuple[str, str]] = []
        self._depth = dict.fromkeys(self.agents, 0)
        self._messages = 0
        self._rounds = 0

    # Changes

    def start(self, routers: Iterable[str] | None = None) -> None:
        """Wakes these routers, by default all; the others join when they hear of it."""
        for router in self.agents if routers is None else routers:
            self._post(router, self.agents[router].on_start())

    def change_cell(self, cell: Cell) -> None:
        self._post(cell.router, self.agents[cell.router].on_cell_change(cell))

    def change_line(self, line: Line) -> None:
        """Changes a line that is up, or brings one up; both ends see it at the same time."""
        former = self.lines.get(line.id, line)
        if (former.a, former.b) != (line.a, line.b):
            raise UnusableProblem(
                f"line {line.id} joins {former.a} and {former.b}: cut it before it joins others"
            )
        self.lines[line.id] = line
        for router in (line.a, line.b):
            self._post(router, self.agents[router].on_line_change(line))

    def cut_line(self, line_id: str) -> None:
        """Takes a line down, and with it what is under way."""
        line = self.lines.pop(line_id)
        for router in (line.a, line.b):
            self._queues.pop((line_id, router), None)
        self._busy = [key for key in self._busy if key[0] != line_id]
        for router in (line.a, line.b):
            self._post(router, self.agents[router].on_line_down(line_id))

    # Running

    def run(self, limit: int = 1_000_000) -> Effort:
        """Delivers until all is quiet; returns what it took since the last call."""
        if not self.step(limit):
            raise NotSettled(
                f"{len(self.agents)} routers with {len(self.lines)} lines have not settled "
                f"after {limit} messages"
            )
        effort = Effort(self._messages, self._rounds)
        self._messages = self._rounds = 0
        self._depth = dict.fromkeys(self.agents, 0)
        return effort

    def step(self, count: int) -> bool:
        """Delivers at most ``count`` frames; whether nothing is under way any more."""
        for _ in range(count):
            if not self._busy:
                return True
            self._deliver()
        return not self._busy

    def heal(self, limit: int = 1_000_000, times: int = 20) -> Effort:
        """Lets the timers of all routers fire, for hello and for silence, until that changes nothing any more."""
        for _ in range(times):
            before = [(agent.epoch, agent.done) for agent in self.agents.values()]
            for router, agent in self.agents.items():
                self._post(router, agent.on_hello())
            self._finish(limit)
            for router, agent in self.agents.items():
                self._post(router, agent.on_silence())
            self._finish(limit)
            after = [(agent.epoch, agent.done) for agent in self.agents.values()]
            if self.done and before == after:
                return self.run(limit)
        raise NotSettled(f"{len(self.agents)} routers have not agreed after {times} hellos")

    def _finish(self, limit: int) -> None:
        if not self.step(limit):
            raise NotSettled(f"{len(self.agents)} routers have not settled after {limit} messages")

    def _deliver(self) -> None:
        # In rounds the first of the list is the oldest, for every frame puts its line at the end.
        index = 0 if self._order == "rounds" else self._random.randrange(len(self._busy))
        key = self._busy.pop(index)
        line, receiver = key
        depth, frame = self._queues[key].popleft()
        self._messages += 1
        self._depth[receiver] = max(self._depth[receiver], depth)
        self._rounds = max(self._rounds, depth)
        self._post(receiver, self.agents[receiver].on_message(line, frame))

    def _post(self, sender: str, frames: Iterable[Outgoing]) -> None:
        for line_id, frame in frames:
            key = (line_id, self.lines[line_id].other(sender))
            self._queues.setdefault(key, deque()).append((self._depth[sender] + 1, frame))
            self._busy.append(key)

    # Results

    @property
    def done(self) -> bool:
        return all(agent.done for agent in self.agents.values())

    def flows(self) -> dict[str, int]:
        """Net power from a to b by line, as told by b."""
        return {line.id: self.agents[line.b].ends[line.id].inflow for line in self.lines.values()}

    def cost(self) -> int:
        lines = sum(abs(flow) * self.lines[line].cost for line, flow in self.flows().items())
        return lines + sum(
            source.cost * agent.outputs[source.id]
            for agent in self.agents.values()
            for source in agent.cell.cell.sources
        )

    def unserved(self) -> dict[str, int]:
        return {router: agent.unserved for router, agent in self.agents.items() if agent.unserved}
