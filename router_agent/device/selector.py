"""Selector at the sink (1:1 protection switching): which generations of a circuit are demanded, and when that changes.

Only the sink knows whether its load is served, and demand travels upstream by itself: so it alone switches, with no
signal and no controller. It leaves what it demands when that is granted nothing any more, or when power is missed:
granted, but its buffer has all but run dry, and who sends it is not late, or can be waited for no longer (overdue.py).
Never on a partial grant, which is a shortage and would be one elsewhere. A switch is sticky, and none follows another
within three dead intervals; nor back to what was left for missed power alone within 20 s. The same makes moves
seamless: a newer working generation waits, charging, while an older one serves the load, and is demanded once it is
charged.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from digitalgrid.model import CircuitGeneration, FlowState, SwitchCause
from digitalgrid.physics import ACTUATED_FRACTION
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from router_agent.device.flow import Flow, by_precedence
from router_agent.device.overdue import Overdue
from router_agent.device.sink import FlowStatus, status_of

# A newer generation that is not charged by then is demanded all the same: its circuit was promised the move.
CHARGES_AT_MOST_NS = 10 * NS_PER_S
# Power is missed when the buffer holds less than so much of the need: packets that are late come in before.
MISSED_AT_NS = NS_PER_MS
# Missed power is a reason to go back to the generation that was left only so long after: weak evidence, which routers
# give too that are late for longer than they are waited for, and two generations would take turns. Another one, set up
# and charged since, is no way back.
_MISSED_APART_NS = 20 * NS_PER_S
# What is taken of a buffer is rounded down.
_ROUNDING_MJ = 1
# Between two switches of one circuit, in dead intervals: by then the neighbours have found out what failed.
_DEAD_INTERVALS_APART = 3


class Role(StrEnum):
    """Whose power the sink demands."""

    WORKING = "working"
    STANDBY = "standby"


class Selecting(StrEnum):
    LOST = "demanded generation lost"
    TAKEN_OVER = "newer generation is charged"
    PROMOTED = "standby promoted"
    GONE = "standby withdrawn or drained"


R, S = Role, Selecting
SELECTIONS: dict[tuple[Role, Selecting], Role] = {
    (R.WORKING, S.LOST): R.STANDBY,
    (R.STANDBY, S.LOST): R.WORKING,
    **{(R.STANDBY, event): R.WORKING for event in (S.TAKEN_OVER, S.PROMOTED, S.GONE)},
}
del R, S


@dataclass(slots=True)
class _Selection:
    """Of one circuit; ``switched_ns`` is when it last left a generation that was lost, ``left`` which; ``taken_ns`` is
    when it last took a newer one while another served the load.
    """

    role: Role = Role.WORKING
    standby: CircuitGeneration | None = None
    cause: SwitchCause = SwitchCause.UNSPECIFIED
    switched_ns: int | None = None
    taken_ns: int | None = None
    left: CircuitGeneration | None = None
    # What could be demanded instead was charged when it was looked at last, or has lent of that since.
    charged: CircuitGeneration | None = None
    unplugged: bool = False
    # The load takes its power again, and what is demanded for it has not begun to play.
    comes_back: bool = False

    def plugged(self, there: bool, choice: "_Choice", now_ns: int) -> None:
        """Whether the load takes anything. Where it does again, no grant yet is no loss of what is demanded anew."""
        if there and self.unplugged:
            self.taken_ns, self.comes_back = now_ns, True
            for flow in (*choice.working, *choice.standbys):
                flow.awaited = True
        self.unplugged = not there

    def has_charged(self, other: Flow) -> bool:
        """It is charged, or was, and lends its load what is missing; all above are full still."""
        return other.key == self.charged and other.charged_above

    def apply(self, event: Selecting) -> None:
        self.role = SELECTIONS[self.role, event]


@dataclass(slots=True)
class _Choice:
    """What there is to choose from: generations that were not told to drain, of each role the newest first."""

    working: list[Flow]
    standbys: list[Flow]

    @property
    def taken(self) -> list[Flow]:
        """Working generations that were demanded before."""
        return [flow for flow in self.working if flow.taken]


class Selector:
    """Sets what is demanded of every flow that ends at this router's loads."""

    def __init__(self, config: RouterConfig, takes: Mapping[str, float]) -> None:
        """``takes``: by load, what share of its circuits' power it takes, as it is at any time."""
        self._takes = takes
        self._overdue = Overdue(config)
        self._apart_ns = _DEAD_INTERVALS_APART * config.dead_ns
        self._selections: dict[int, _Selection] = {}
        self._news: list[FlowStatus] = []
        # By circuit: when there may be something to choose though nothing happens before, and the flow that is
        # demanded where it can be left for another.
        self._again_ns: dict[int, int] = {}
        self._watched: dict[int, Flow] = {}

    def demand(self, sinks: Sequence[Flow], here: Set[int], efficiency: float, now_ns: int) -> None:
        """Choose, for the circuits of these flows, and say how much is wanted of each generation; of other circuits
        that are ``here`` nothing has changed, and there is nothing to choose.
        """
        for circuit_id, generations in _by_circuit(sinks):
            self._again_ns.pop(circuit_id, None)
            self._watched.pop(circuit_id, None)
            live = [flow for flow in generations if not flow.draining]
            for flow in generations:
                if flow.draining:
                    flow.rest(idle=False)
            choice = _Choice(
                [flow for flow in live if not flow.hop.standby],
                [flow for flow in live if flow.hop.standby],
            )
            selection = self._selections.setdefault(circuit_id, _Selection())
            share = self._takes[generations[0].hop.load_id]
            selection.plugged(bool(share), choice, now_ns)
            if share:
                self._select(selection, choice, now_ns)
            _demand(selection, choice, efficiency, share)
        for circuit_id in self._selections.keys() - here:
            del self._selections[circuit_id]
            self._again_ns.pop(circuit_id, None)
            self._watched.pop(circuit_id, None)

    def news(self, sinks: Sequence[Flow]) -> list[FlowStatus]:
        """What has changed, once the rates are settled: selections, and idle generations that are full or no more."""
        news, self._news = self._news, []
        for flow in sinks:
            charged = flow.charged
            if charged != flow.told_charged:
                flow.told_charged = charged
                if flow.idle:
                    state = FlowState.CHARGED if charged else FlowState.DISCHARGED
                    news.append(FlowStatus(flow.key, state))
        return news

    def statuses(self, sinks: Sequence[Flow]) -> list[FlowStatus]:
        """What a controller that knows nothing must hear beside the states of the flows."""
        statuses = []
        for flow in sinks:
            selection = self._selections.get(flow.key.circuit_id)
            if selection is not None and selection.standby == flow.key:
                statuses.append(_switched(flow, selection.cause))
            if flow.told_charged and flow.idle:
                statuses.append(FlowStatus(flow.key, FlowState.CHARGED))
        return statuses

    def next_ns(self, advanced_ns: int, *, stands: bool = False) -> int | None:
        """When there may be something to choose though nothing happens before.

        ``stands``: somebody else sees to it that no buffer runs dry unnoticed.
        """
        again_ns = min(self._again_ns.values(), default=None)
        if stands:
            return again_ns
        dry = (_missed_ns(flow, advanced_ns) for flow in self._watched.values())
        deadlines = [at_ns for at_ns in (again_ns, *dry) if at_ns is not None]
        return min(deadlines, default=None)

    def due(self, advanced_ns: int, now_ns: int) -> set[int]:
        """Circuits for which that is now."""
        due = {circuit_id for circuit_id, at_ns in self._again_ns.items() if now_ns >= at_ns}
        for circuit_id, flow in self._watched.items():
            at_ns = _missed_ns(flow, advanced_ns)
            if at_ns is not None and now_ns >= at_ns:
                due.add(circuit_id)
        return due

    def _select(self, selection: _Selection, choice: _Choice, now_ns: int) -> None:
        if selection.role is Role.STANDBY:
            self._follow_standby(selection, choice, now_ns)
        newest = next(iter(choice.working), None)
        if newest is None or newest.taken:
            self._leave_what_is_lost(selection, choice, now_ns)
            return
        other = _other(selection, choice)
        if not newest.charged and other is not None and other.charged:
            # Whoever is full goes before whoever still fills.
            self._leave_what_is_lost(selection, choice, now_ns)
        self._take_newest(selection, choice, newest, now_ns)
        self._leave_what_is_lost(selection, choice, now_ns)

    def _leave_what_is_lost(self, selection: _Selection, choice: _Choice, now_ns: int) -> None:
        current, other = _demanded(selection, choice), _other(selection, choice)
        if current is None or other is None:
            return
        if other.charged:
            selection.charged = other.key
        cause = self._lost(selection, current, other, now_ns)
        if cause is None:
            if selection.has_charged(other) and not _is_missed(current):
                self._watched[current.key.circuit_id] = current
            return
        missed = cause is SwitchCause.POWER_MISSED
        apart_ns = self._apart_ns
        if missed and other.key == selection.left:
            apart_ns = max(apart_ns, _MISSED_APART_NS)
        if selection.switched_ns is None or now_ns >= selection.switched_ns + apart_ns:
            selection.left = current.key
            self._switch(selection, other, cause, now_ns)
        elif not missed:
            self._look_again(current, selection.switched_ns + apart_ns)

    def _follow_standby(self, selection: _Selection, choice: _Choice, now_ns: int) -> None:
        """The controller may have made the standby a working generation, or taken it away."""
        if any(flow.key == selection.standby for flow in choice.working):
            selection.apply(Selecting.PROMOTED)
        elif all(flow.key != selection.standby for flow in choice.standbys):
            selection.apply(Selecting.GONE)
        else:
            return
        selection.standby = None

    def _take_newest(
        self, selection: _Selection, choice: _Choice, newest: Flow, now_ns: int
    ) -> None:
        """Take what is newest, unless it still charges while another serves the load."""
        current = _demanded(selection, choice)
        serves = current is not None and _serves(current)
        if serves and current is not None and newest.hop.trickle_w > 0.0:
            until_ns = newest.committed_ns + CHARGES_AT_MOST_NS
            # What no router above has heard of yet, or is cut off from here, helps nobody.
            short = newest.reachable and _is_short(current)
            if not newest.charged and not short and now_ns < until_ns:
                self._look_again(newest, until_ns)
                if not _is_missed(current):
                    self._watched[current.key.circuit_id] = current
                return
            newest.seamless = newest.charged or not short
        newest.taken = True
        if serves:
            selection.taken_ns = now_ns
        if selection.role is Role.STANDBY:
            selection.apply(Selecting.TAKEN_OVER)
            selection.standby = None

    def _lost(
        self, selection: _Selection, current: Flow, other: Flow, now_ns: int
    ) -> SwitchCause | None:
        """Why the generation that is demanded must be left for the other; None where it need not."""
        if current.ingress is None or not other.reachable:
            return None
        if current.stated_by_upstream().power_mw == 0:
            if current.awaited:
                # It was selected or taken, and nothing has come of it so far.
                chosen_ns = (selection.switched_ns, selection.taken_ns)
                selected_ns = max((each for each in chosen_ns if each is not None), default=None)
                if selected_ns is None:
                    return None
                if now_ns < selected_ns + self._apart_ns:
                    self._look_again(current, selected_ns + self._apart_ns)
                    return None
            return SwitchCause.GRANT_LOST
        selection.comes_back = selection.comes_back and not current.plays
        waits = current.state is FlowState.SILENT or selection.comes_back
        if waits or not _is_missed(current) or not selection.has_charged(other):
            return None
        until_ns = self._overdue.until_ns(current, other, now_ns)
        if now_ns < until_ns:
            self._look_again(current, until_ns)
            return None
        return SwitchCause.POWER_MISSED

    def _switch(self, selection: _Selection, other: Flow, cause: SwitchCause, now_ns: int) -> None:
        back = selection.role is Role.STANDBY
        selection.apply(Selecting.LOST)
        selection.switched_ns = now_ns
        selection.cause = SwitchCause.OTHER_LOST if back else cause
        selection.standby = None if back else other.key
        self._news.append(_switched(other, selection.cause))

    def _look_again(self, flow: Flow, at_ns: int) -> None:
        circuit_id = flow.key.circuit_id
        self._again_ns[circuit_id] = min(self._again_ns.get(circuit_id, at_ns), at_ns)


def _by_circuit(sinks: Sequence[Flow]) -> Iterator[tuple[int, list[Flow]]]:
    for circuit_id, group in groupby(
        sorted(sinks, key=by_precedence), key=lambda flow: flow.key.circuit_id
    ):
        yield circuit_id, list(group)


def _demanded(selection: _Selection, choice: _Choice) -> Flow | None:
    """The newest generation that is demanded."""
    if selection.role is Role.STANDBY:
        return next(flow for flow in choice.standbys if flow.key == selection.standby)
    return next(iter(choice.taken), None)


def _other(selection: _Selection, choice: _Choice) -> Flow | None:
    """What can be demanded instead."""
    if selection.role is Role.STANDBY:
        return next(iter(choice.taken), None)
    standbys = choice.standbys
    if len(standbys) > 1:
        # One that is to replace another may not be there on every hop yet.
        standbys = sorted(standbys, key=lambda flow: not (flow.charged and flow.reachable))
    return next(iter(standbys), None)


def _demand(selection: _Selection, choice: _Choice, efficiency: float, share: float) -> None:
    """The newest that is taken wants the setpoint, an older one what the newer is not granted yet; ``share`` of it all
    is what the load takes.
    """
    if share == 0.0:
        for flow in choice.working:
            flow.rest(idle=not flow.taken)
        for flow in choice.standbys:
            flow.rest(idle=True)
        return
    if selection.role is Role.STANDBY:
        for flow in (*choice.working, *choice.standbys):
            if flow.key == selection.standby:
                flow.want(share * flow.hop.power_w)
            else:
                flow.rest(idle=True)
        return
    for flow in choice.standbys:
        flow.rest(idle=True)
    taken = choice.taken
    left_w = share * taken[0].hop.power_w if taken else 0.0
    for flow in choice.working:
        if not flow.taken:
            flow.rest(idle=True)
            continue
        if left_w == 0.0:
            # What a charged generation has taken over from keeps its cushion for the way back.
            flow.rest(idle=taken[0].seamless and (flow.idle or flow.ingress_w > 0.0))
            continue
        flow.want(left_w)
        if flow.seamless and flow.bridges:
            left_w = 0.0
            continue
        above_w = 0.0 if flow.is_trickle(_above_w(flow)) else _above_w(flow)
        granted_w = min(left_w, flow.hop.received_power_w, efficiency * above_w)
        # The rest of a percent comes once the older generation has made room for it.
        left_w = 0.0 if granted_w >= ACTUATED_FRACTION * left_w else left_w - granted_w


def _above_w(flow: Flow) -> float:
    return flow.hop.ingress_power_w if flow.ingress is None else flow.granted_above_w


def _serves(flow: Flow) -> bool:
    """It delivers, or is about to from what it was charged with, though nobody has heard yet that it is demanded."""
    return flow.state is not FlowState.SILENT or flow.charged or flow.plays


def _is_short(flow: Flow) -> bool:
    """It is granted less than it needs, or its buffer has all but run dry. What is demanded since a moment is granted
    when its upstream neighbour has heard of that: until then it plays what it holds.
    """
    unheard = flow.idle or flow.awaited
    return _is_missed(flow) or not (unheard or _is_granted(flow))


def _is_granted(flow: Flow) -> bool:
    if flow.ingress is None:
        return True
    return flow.granted_above_w >= ACTUATED_FRACTION * flow.need_w


def _missed_ns(flow: Flow, advanced_ns: int) -> int | None:
    """When it all but runs dry unless a packet comes; None where it never plays, or plays from the source."""
    if flow.ingress is None or flow.held or flow.need_w <= 0.0:
        return None
    granted = flow.granted_above_w > 0.0 and flow.state is not FlowState.SILENT
    if not granted and not (flow.awaited and flow.plays):
        return None
    left_mj = flow.buffer_mj - flow.need_w * (MISSED_AT_NS / NS_PER_MS) - _ROUNDING_MJ
    return advanced_ns + max(0, int(left_mj / flow.need_w * NS_PER_MS) + 1)


def _is_missed(flow: Flow) -> bool:
    """As of now: the books have just been closed."""
    at_ns = _missed_ns(flow, 0)
    return at_ns is not None and at_ns <= 1


def _switched(flow: Flow, cause: SwitchCause) -> FlowStatus:
    status = status_of(flow)
    return FlowStatus(
        flow.key,
        FlowState.SWITCHED,
        status.delivered_mw,
        status.granted_mw,
        status.demand_mw,
        switch_cause=cause,
    )
