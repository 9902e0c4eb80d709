"""What both algorithms need: one run over an island at a time, and to know when each part of it has ended.

*Epochs.* Whoever sees a change (of its cell, of a line, or that a neighbour's state does not fit) begins a greater
epoch and floods it. Each router joins the greatest that it hears of, and so a spanning tree grows from whoever began
it; the echo tells its root that all have joined, and what they have (Segall 1983, "Distributed network protocols").
So there is no leader to elect or to lose. After the echo nothing of a former epoch is under way, for lines keep the
order. Flows and prices are kept, so a run starts from whatever stands.

*Termination* (Dijkstra and Scholten 1980, "Termination detection for diffusing computations"). Each step is
acknowledged; a router owes its first one until all that it caused is acknowledged. When nobody owes the stage's root
anything, the stage is over. Sums travel up with the acknowledgements.

*Self-stabilisation.* Optimality can be checked locally (Awerbuch, Patt-Shamir and Varghese 1991): power balances in the
cell, and no reduced cost is below -epsilon. Two occasions must be given from outside, as a timer does: ``on_hello``
now and then, by which neighbours compare what they hold, and ``on_silence``, when nothing has come for longer than a
message can take. Any corruption of flows, prices, epochs, trees or counters of any number of routers is then noticed by
some router, which begins an epoch. Not noticed is only one that gives all routers of an island the same wrong number of
routers or highest cost; the next change mends it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from router_agent.distributed.line_end import LineEnd
from router_agent.distributed.local_cell import LocalCell
from router_agent.distributed.messages import (
    Body,
    Candidate,
    Carry,
    Change,
    Claim,
    Done,
    Echo,
    Epoch,
    Frame,
    Hello,
    Join,
    Label,
    Outgoing,
    Stage,
    Summary,
    Token,
    Work,
)
from router_agent.distributed.problem import Cell, Line

# A root that has neighbours waits for them long before.
_MAX_TURNS = 10_000


class CoordinatedAgent(ABC):
    """A router's part in a run. Every event returns the frames to send: (line id, frame), in this order."""

    # Costs are integers in units of 1/scale, so that epsilon can be small enough.
    scale = 1

    def __init__(self, cell: Cell, lines: Iterable[Line] = ()) -> None:
        self.router = cell.router
        self.cell = LocalCell(cell, self.scale)
        self.ends = {line.id: LineEnd(line, self.router, self.scale) for line in lines}
        self.price = 0
        self.epoch = Epoch(0, self.router)
        self.done = False
        self._stage: Stage | None = None
        self._parent: LineEnd | None = None
        self._echoed = False
        self._summary = Summary()
        # Dijkstra-Scholten: the root of the stage, what I wait for, and whom I owe the last acknowledgement.
        self._leads_stage = False
        self._unacked = 0
        self._engaged_by: LineEnd | None = None
        self._out: list[Outgoing] = []

    # Events

    def on_start(self) -> list[Outgoing]:
        return self._begin_epoch(self.epoch.counter + 1)

    def on_cell_change(self, cell: Cell) -> list[Outgoing]:
        """The demand, or the sources: a source keeps its output as far as its new limit allows."""
        self.cell.change(cell)
        return self._begin_epoch(self.epoch.counter + 1)

    def on_line_change(self, line: Line) -> list[Outgoing]:
        """A line has come up, or its capacity or cost has changed; both ends must be told."""
        end = LineEnd(line, self.router, self.scale)
        former = self.ends.get(line.id)
        if former is not None:
            end.own_total, end.their_total = former.own_total, former.their_total
            end.their_price = former.their_price
        self.ends[line.id] = end
        return self._begin_epoch(self.epoch.counter + 1)

    def on_line_down(self, line: str) -> list[Outgoing]:
        self.ends.pop(line, None)
        return self._begin_epoch(self.epoch.counter + 1)

    def on_hello(self) -> list[Outgoing]:
        """It is time to compare: tells all neighbours, if what this router holds is sound by itself."""
        if self.done and not self._sound():
            return self._begin_epoch(self.epoch.counter + 1)
        for end in self.ends.values():
            self._send(end, Hello(self._stage if self.done else None))
        return self._flushed()

    def on_silence(self) -> list[Outgoing]:
        """Nothing has come for long. In mid-run that means that somebody waits in vain."""
        return [] if self.done else self._begin_epoch(self.epoch.counter + 1)

    def on_message(self, line: str, frame: Frame) -> list[Outgoing]:
        end = self.ends.get(line)
        if end is None:
            return []  # was under way when the line went down
        if frame.epoch != self.epoch:
            return self._other_epoch(end, frame)
        unchanged = frame.total == end.their_total
        begins = isinstance(frame.body, Work) and not self.done and self._reach(frame.body.stage)
        end.their_total, end.their_price, end.fresh = frame.total, frame.price, True
        if begins:
            self._begun(end)
        if isinstance(frame.body, Hello):
            return self._compare(end, frame.body, unchanged)
        self._take(end, frame.body)
        return self._settled()

    # Epochs

    def _begin_epoch(self, counter: int) -> list[Outgoing]:
        self._join(Epoch(counter, self.router), None)
        return self._settled()

    def _start_over(self) -> None:
        """What this router holds cannot be: the state is corrupted, or was when the run began."""
        self._join(Epoch(self.epoch.counter + 1, self.router), None)

    def _other_epoch(self, end: LineEnd, frame: Frame) -> list[Outgoing]:
        end.their_total, end.their_price = frame.total, frame.price
        newer = frame.epoch > self.epoch
        if newer and isinstance(frame.body, Join):
            self._join(frame.epoch, end)
            return self._settled()
        if newer or isinstance(frame.body, Hello):
            # Neighbours agree on the epoch by their first frames; where they do not, one of them is corrupted.
            return self._begin_epoch(max(self.epoch, frame.epoch).counter + 1)
        return []  # its sender will hear, or has heard, of ours

    def _join(self, epoch: Epoch, parent: LineEnd | None) -> None:
        self.epoch = epoch
        self.done = False
        self._stage = None
        self._parent = parent
        self._leads_stage = parent is None
        self._echoed = False
        self._unacked = 0
        self._engaged_by = None
        self._out.clear()
        self.cell.clip()
        for end in self.ends.values():
            end.reset()
            if end is not parent:
                self._send(end, Join())
        if parent is not None:
            parent.heard = True
        self._summary = Summary(1, len(self.ends), highest_cost=self._highest_cost())
        self._joined()
        self._echo_if_all_heard()

    def _highest_cost(self) -> int:
        line_costs = (end.line.cost for end in self.ends.values())
        source_costs = (abs(source.cost) for source in self.cell.cell.sources)
        return max((*line_costs, *source_costs), default=0)

    def _echo_if_all_heard(self) -> None:
        if self._echoed or not all(end.heard for end in self.ends.values()):
            return
        self._echoed = True
        for end in self.ends.values():
            end.clip_together()
        self._all_neighbours_known()
        need = self.need
        own = Summary(deficit=max(0, need), surplus=max(0, -need))
        self._summary = self._summary.with_other(own)
        if self._parent is None:
            self._run(self._summary)
        else:
            self._send(self._parent, Echo(self._summary))

    def _worst_violation(self) -> int:
        return max(0, *(-self.reduced_cost(sign) for sign in (1, -1)))

    def reduced_cost(self, sign: int) -> int:
        """The least of all that this router can draw; negative where its price is above what it could pay."""
        costs = [offer.cost for offer in self.cell.offers(sign)]
        for end in self.ends.values():
            costs += [offer.cost + sign * end.their_price for offer in end.offers(sign)[:1]]
        return min(costs, default=0) - sign * self.price if costs else 0

    # Stages

    def _take(self, end: LineEnd, body: Body) -> None:
        match body:
            case Join():
                end.heard = True
                self._echo_if_all_heard()
            case Echo(summary):
                end.heard = end.is_child = True
                end.unbalanced_child = summary.deficit > 0 or summary.surplus > 0
                self._summary = self._summary.with_other(summary)
                self._echo_if_all_heard()
            case Work():
                self._take_work(end, body)
            case Done():
                if not self.done:
                    self._finish()
            case Token() | Claim() | Carry():
                self._take_turn(end, body)

    def _take_work(self, end: LineEnd, work: Work) -> None:
        end.unacked -= work.acks
        self._unacked -= work.acks
        if work.report is not None:
            self._merge(end, work.report)
        if work.label is not None:
            end.label = work.label
        if not work.wants_ack:
            return
        if self._engaged_by is None and not self._leads_stage:
            self._engaged_by = end
        else:
            end.acks_owed += 1

    def _reach(self, stage: Stage) -> bool:
        """Enters a stage that is new here. The former one's prices are worked up before those of the new are read."""
        if self._stage is not None and stage.number <= self._stage.number:
            return False
        former, self._stage = self._stage, stage
        self._entered(former, stage)
        return True

    def _tell_children(self) -> None:
        for end in self.ends.values():
            end.to_send = end.to_send or end.is_child

    def _finish(self) -> None:
        self.done = True
        for end in self.ends.values():
            if end.is_child:
                self._send(end, Done())

    # Sending

    def _send(self, end: LineEnd, body: Body) -> None:
        end.told_price = self.price
        self._out.append((end.line.id, Frame(self.epoch, end.own_total, self.price, body)))

    def _settled(self) -> list[Outgoing]:
        """All that follows from what has come: the root of a stage may find it ended, and begin others."""
        turns = 0
        while not self.done:
            if self._stage is not None:
                self._act()
            if self._stage is not None:  # unless the router has started over
                self._send_work(self._stage)
            if not self._leads_stage or self._unacked or not self._ended():
                break
            turns += 1
            if turns == _MAX_TURNS and self.ends:
                # A root that hears of nobody's work: it has lost its children.
                self._start_over()
        return self._flushed()

    def _send_work(self, stage: Stage) -> None:
        sending = [end for end in self.ends.values() if end.to_send]
        report = None
        parent = self._engaged_by
        if parent is not None and not self._unacked and not sending:
            self._engaged_by = None
            parent.acks_owed += 1
            report = self._report()
        for end in self.ends.values():
            if not end.to_send and not end.acks_owed:
                continue
            label = self._label_for(end) if end.to_send else None
            mine = None
            if end is parent and report is not None:
                mine, label = report, label or self._last_label(stage)
            self._send(end, Work(stage, end.to_send, end.acks_owed, label, mine))
            end.unacked += end.to_send
            self._unacked += end.to_send
            end.to_send, end.acks_owed = False, 0

    def _flushed(self) -> list[Outgoing]:
        out, self._out = self._out, []
        return out

    # Checks

    def _sound(self) -> bool:
        stage = self._stage
        return (
            stage is not None
            and self.need == 0
            and self.cell.within_limits()
            and all(abs(end.inflow) <= end.line.capacity for end in self.ends.values())
            and self._worst_violation() <= stage.epsilon
        )

    def _compare(self, end: LineEnd, hello: Hello, unchanged: bool) -> list[Outgoing]:
        if not self.done or hello.certificate is None:
            return []  # a run is on, or on_silence will begin one
        if unchanged and hello.certificate == self._stage and self._sound():
            return []
        return self._begin_epoch(self.epoch.counter + 1)

    # Results

    @property
    def _current(self) -> Stage:
        assert self._stage is not None
        return self._stage

    @property
    def need(self) -> int:
        """Units of power that are missing at this router; negative where there are too many."""
        return (
            self.cell.cell.demand - self.cell.supply - sum(end.inflow for end in self.ends.values())
        )

    @property
    def unserved(self) -> int:
        return self.cell.shortage

    @property
    def outputs(self) -> dict[str, int]:
        return dict(self.cell.outputs)

    # What an algorithm adds

    def _joined(self) -> None:  # noqa: B027 - nothing to do where there is nothing to forget
        """A new epoch: forget what belonged to the former one."""

    def _all_neighbours_known(self) -> None:  # noqa: B027
        """Flows and prices at the other ends are exact now, and the neighbours know the same."""

    @abstractmethod
    def _run(self, summary: Summary) -> None:
        """At the root: all have joined."""

    def _begun(self, end: LineEnd) -> None:  # noqa: B027
        """A stage was entered because of what came over this line, whose flow and price are read by now."""

    def _last_label(self, stage: Stage) -> Label | None:
        """What goes with the last acknowledgement, when all that this router has caused is over."""
        return None

    @abstractmethod
    def _entered(self, former: Stage | None, stage: Stage) -> None:
        """The first frame of a stage has come, or the root begins it."""

    @abstractmethod
    def _act(self) -> None:
        """Do what the stage asks for, and mark with ``to_send`` whom to tell."""

    @abstractmethod
    def _label_for(self, end: LineEnd) -> Label | None: ...

    @abstractmethod
    def _report(self) -> Change | Candidate | None: ...

    @abstractmethod
    def _merge(self, end: LineEnd, report: Change | Candidate) -> None: ...

    @abstractmethod
    def _ended(self) -> bool:
        """At a stage's root, when nobody has anything to do in it: go on. False if it only waits for others."""

    def _take_turn(self, end: LineEnd, body: Token | Claim | Carry) -> None:
        raise AssertionError(f"{type(self).__name__} has no use for {body}")
