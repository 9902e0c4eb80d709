"""Marks: what happened that an operator acts on, numbered and bounded: faults, reroutes, who waits, who leads.

What everybody does all day leaves no mark: admissions, changes and releases stand in the audit log.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum, StrEnum
from typing import NamedTuple

import msgspec

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Generation, Role
from controller.core.circuits.protection import Protection
from controller.core.network.admin import AdminState
from controller.core.network.link import LinkState
from controller.core.network.view import GridView, ViewChange, change_of
from controller.core.network.why_down import NOBODY_SAYS, why_down
from digitalgrid.model import DownCause, ElectionId
from digitalgrid.units import NS_PER_MS, format_duration_ns, format_energy_mj, format_power

# How long marks are kept (ms), and how many at most: a line that cuts two thousand circuits off makes as many, twice.
KEPT_MS = 15 * 60 * 1000
MOST_KEPT = 8_192
# Links, and routers, that went and may be back, whose return makes a mark.
MOST_AWAY = 32_768


class Severity(StrEnum):
    INFO = "info"
    # Somebody should look; power flows.
    WARNING = "warning"
    # Somebody must act, or a load is without power.
    ALARM = "alarm"


class Kind(Enum):
    """What happened, by the name that clients filter by, and how bad it is."""

    LINK_DOWN = ("link_down", Severity.ALARM)
    # What an operator has drained first is down for somebody works on it.
    LINK_OFF = ("link_off", Severity.INFO)
    LINK_UP = ("link_up", Severity.INFO)
    ROUTER_GONE = ("router_gone", Severity.ALARM)
    ROUTER_OFF = ("router_off", Severity.INFO)
    ROUTER_BACK = ("router_back", Severity.INFO)
    DRAINING = ("draining", Severity.INFO)
    DRAINED = ("drained", Severity.INFO)
    IN_SERVICE = ("in_service", Severity.INFO)
    CIRCUIT_WAITING = ("circuit_waiting", Severity.ALARM)
    CIRCUIT_FAILED = ("circuit_failed", Severity.ALARM)
    CIRCUIT_STARVED = ("circuit_starved", Severity.WARNING)
    CIRCUIT_REROUTED = ("circuit_rerouted", Severity.WARNING)
    CIRCUIT_MOVED = ("circuit_moved", Severity.INFO)
    CIRCUIT_SWITCHED = ("circuit_switched", Severity.WARNING)
    CIRCUIT_UNPROTECTED = ("circuit_unprotected", Severity.WARNING)
    CIRCUIT_PROTECTED = ("circuit_protected", Severity.INFO)
    CIRCUIT_CURTAILED = ("circuit_curtailed", Severity.WARNING)
    CIRCUIT_WHOLE = ("circuit_whole", Severity.INFO)
    LEADER_CHANGED = ("leader_changed", Severity.WARNING)

    def __init__(self, word: str, severity: Severity) -> None:
        self.word = word
        self.severity = severity


class Mark(msgspec.Struct, frozen=True, gc=False):
    """``n`` ascends for as long as the daemon runs; ``id`` is that of a circuit, link, router, or controller."""

    n: int
    at_unix_ms: int
    kind: Kind
    id: str
    text: str


class Marks:
    """The newest, oldest first. Those older than :data:`KEPT_MS` are forgotten when another is made."""

    def __init__(self) -> None:
        self._kept: deque[Mark] = deque(maxlen=MOST_KEPT)
        self.newest = 0
        # The newest of those that somebody must know of at once.
        self.newest_alarm = 0

    def add(self, at_unix_ms: int, kind: Kind, id_: str, text: str) -> None:
        self.newest += 1
        if kind.severity is Severity.ALARM:
            self.newest_alarm = self.newest
        self._kept.append(Mark(self.newest, at_unix_ms, kind, id_, text))
        while self._kept[0].at_unix_ms < at_unix_ms - KEPT_MS:
            self._kept.popleft()

    def after(self, n: int) -> list[Mark]:
        """All that are kept and have a higher number."""
        # From the end backwards: a deque is quick there, and most ask for what is new.
        found = []
        for mark in reversed(self._kept):
            if mark.n <= n:
                break
            found.append(mark)
        return found[::-1]

    def since(self, at_unix_ms: int) -> int:
        """The number behind which all is that was made since then."""
        earlier = (mark.n for mark in reversed(self._kept) if mark.at_unix_ms < at_unix_ms)
        return next(earlier, self._kept[0].n - 1 if self._kept else self.newest)


_ACTIVE, _WAITING, _FAILED = CircuitState.ACTIVE, CircuitState.WAITING, CircuitState.FAILED
_REROUTING, _DEGRADED = CircuitState.REROUTING, CircuitState.DEGRADED
_ODD = (_WAITING, _FAILED, _REROUTING, _DEGRADED)
# Whoever was curtailed may not have all of its power yet, though nobody withholds any.
_ON_ITS_WAY = (_REROUTING, _DEGRADED, CircuitState.COMMITTING)
_SWITCHED, _LOST = Protection.SWITCHED, Protection.LOST
_UNGUARDED = {
    _SWITCHED: (Kind.CIRCUIT_SWITCHED, "has switched to its standby"),
    _LOST: (Kind.CIRCUIT_UNPROTECTED, "is unprotected"),
}


class _Seen(NamedTuple):
    """How a circuit was that was not as it should be. ``word``: of its protection, since that was last lost or used."""

    state: CircuitState
    reason: str
    word: Protection
    # Since when it has less than was asked for, and what it had lacked before, until its load has all of it again.
    short_since_ns: int | None
    lacked_before_mj: int = 0
    # Of one that is being moved: the lines that it had its power over.
    path: tuple[str, ...] = ()


_CALM = _Seen(CircuitState.ACTIVE, "", Protection.NONE, short_since_ns=None)


class CircuitWatch:
    """Makes marks of circuits that are otherwise than when they were last seen.

    It is shown each change of each circuit, so one that is as it should be, and was, costs next to nothing.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        # Of those alone that are not as they should be.
        self._seen: dict[int, _Seen] = {}

    def begin(self, circuits: Iterable[Circuit]) -> None:
        """Another state is true: how it is now makes no marks, only what becomes of it."""
        self._seen.clear()
        for circuit in circuits:
            self._remember(circuit, _CALM)

    def look(self, circuit: Circuit, at_unix_ms: Callable[[], int]) -> bool:
        """Whether there is a mark more; the time is asked for only of one that is not as it should be, and first."""
        state, word = circuit.state, circuit.guard.word
        # Each change of each circuit comes here, and members of enumerations are slow to look up.
        if (
            state is not _REROUTING
            and state is not _WAITING
            and state is not _DEGRADED
            and state is not _FAILED
            and word is not _LOST
            and word is not _SWITCHED
            and circuit.curtailed is None
            and circuit.circuit_id not in self._seen
        ):
            return False
        before, newest = self._seen.get(circuit.circuit_id, _CALM), self._marks.newest
        now = at_unix_ms()
        if state is not before.state:
            self._look_at_state(circuit, before, now)
        if word is not before.word:
            self._look_at_guard(circuit, before, now)
        self._look_at_power(circuit, before, now)
        self._remember(circuit, before)
        return self._marks.newest > newest

    def _look_at_state(self, circuit: Circuit, before: _Seen, now: int) -> None:
        match circuit.state:
            case CircuitState.WAITING:
                self._say(circuit, now, Kind.CIRCUIT_WAITING, circuit.reason)
            case CircuitState.FAILED:
                self._say(circuit, now, Kind.CIRCUIT_FAILED, f"failed: {circuit.reason}")
            case CircuitState.DEGRADED if circuit.curtailed is None:
                self._say(circuit, now, Kind.CIRCUIT_STARVED, f"is short: {circuit.reason}")
            case CircuitState.ACTIVE if before.state is CircuitState.REROUTING:
                self._look_at_path(circuit, before, now)

    def _look_at_path(self, circuit: Circuit, before: _Seen, now: int) -> None:
        """Of one that was being moved, and has its power. What only changed how much, it was asked to."""
        newest = circuit.newest()
        if newest is None or (newest.seamless and _path(newest) == before.path):
            return
        kind, what = Kind.CIRCUIT_REROUTED, "has power again over"
        if newest.seamless:
            kind, what = Kind.CIRCUIT_MOVED, "was moved without interruption to"
        because = f": {before.reason}" if before.reason else ""
        self._say(circuit, now, kind, f"{what} {' > '.join(newest.route.router_ids)}{because}")

    def _look_at_guard(self, circuit: Circuit, before: _Seen, now: int) -> None:
        word = circuit.guard.word
        if word in _UNGUARDED:
            kind, text = _UNGUARDED[word]
            because = f": {circuit.guard.reason}" if circuit.guard.reason else ""
            self._say(circuit, now, kind, f"{text}{because}")
        elif word is Protection.PROTECTED and before.word is not Protection.NONE:
            self._say(circuit, now, Kind.CIRCUIT_PROTECTED, "is protected again")

    def _look_at_power(self, circuit: Circuit, before: _Seen, now: int) -> None:
        since_ns = before.short_since_ns
        if circuit.curtailed is not None and since_ns is None:
            self._say(circuit, now, Kind.CIRCUIT_CURTAILED, f"is {circuit.curtailed}")
        elif since_ns is not None and circuit.state is _ACTIVE and not _is_short(circuit):
            length = format_duration_ns(max(0, now * NS_PER_MS - since_ns))
            text = f"has all of {format_power(circuit.power_w)} again, after {length}"
            if lacked_mj := _lacked_mj(circuit) - before.lacked_before_mj:
                text += f" in which it lacked {format_energy_mj(lacked_mj)}"
            self._say(circuit, now, Kind.CIRCUIT_WHOLE, text)

    def _say(self, circuit: Circuit, now: int, kind: Kind, text: str) -> None:
        sentence = f"circuit {circuit.circuit_id} to {circuit.sink_id} {text}"
        self._marks.add(now, kind, str(circuit.circuit_id), sentence)

    def _remember(self, circuit: Circuit, before: _Seen) -> None:
        state, word, short_since_ns = circuit.state, circuit.guard.word, before.short_since_ns
        lacked_before_mj = before.lacked_before_mj
        if circuit.curtailed is not None and short_since_ns is None:
            short_since_ns = circuit.curtailed.since_unix_ns
            lacked_before_mj = _lacked_mj(circuit)
        elif state not in _ON_ITS_WAY and not (state is _ACTIVE and _is_short(circuit)):
            short_since_ns = None
        is_odd = state in _ODD
        # Until it is protected again.
        unguarded = word in _UNGUARDED or (
            word is Protection.PENDING and before.word is not Protection.NONE
        )
        path = before.path
        if state is CircuitState.REROUTING and before.state is not state:
            path = _path_before(circuit)
        # One that has failed is told of until routers have let go of it; then nothing is heard of it any more.
        over = state.ended and not circuit.generations
        if (is_odd or unguarded or short_since_ns is not None) and not over:
            self._seen[circuit.circuit_id] = _Seen(
                state if is_odd else CircuitState.ACTIVE,
                circuit.reason,
                word if unguarded else Protection.NONE,
                short_since_ns,
                lacked_before_mj,
                path if is_odd else (),
            )
        else:
            self._seen.pop(circuit.circuit_id, None)


def _is_short(circuit: Circuit) -> bool:
    """Whether power is withheld from it, or was, and its sink has yet to tell that it has all again."""
    return circuit.curtailed is not None or circuit.withheld is not None


def _lacked_mj(circuit: Circuit) -> int:
    """As told until now, whoever was to blame."""
    missing = circuit.total_missing()
    return missing.missing_mj if missing is not None else 0


def _path_before(circuit: Circuit) -> tuple[str, ...]:
    """The lines that a circuit had its power over, before those that it is being moved to."""
    newest = circuit.newest()
    earlier = [
        each
        for each in circuit.generations.values()
        if each.role is Role.WORKING and each is not newest
    ]
    before = max(earlier, key=lambda each: each.key.generation, default=None)
    return _path(before) if before is not None else ()


def _path(generation: Generation) -> tuple[str, ...]:
    return tuple(each.link_id for each in generation.route.links)


_ADMIN = {
    AdminState.DRAINING: (Kind.DRAINING, "is being drained"),
    AdminState.DRAINED: (Kind.DRAINED, "is drained: free to work on"),
    AdminState.IN_SERVICE: (Kind.IN_SERVICE, "is in service again"),
}


class ViewWatch:
    """Likewise of links and routers. What comes up for the first time makes no mark: a daemon that begins, or a network
    that grows, is no news. What was let go because it was drained, and is still away when it is not any more, is.
    """

    def __init__(self, marks: Marks, downs: Counter[DownCause]) -> None:
        self._marks = marks
        # How often lines went down, by why.
        self._downs = downs
        self._view = GridView(0)
        # What went, in this order, and may be back: of what never is, the oldest are not waited for any more.
        self._down: dict[str, None] = {}
        self._gone: dict[str, None] = {}

    def look(self, view: GridView, at_unix_ms: int) -> None:
        before, self._view = self._view, view
        if before is view:
            return
        change = change_of(before, view)
        for link_id in sorted(
            (change.links | self._ending_at_other_words(change, before)) & before.links.keys()
        ):
            self._look_at_link(link_id, before, at_unix_ms)
        for router_id in sorted(change.routers & before.routers.keys()):
            self._look_at_router(router_id, before, at_unix_ms)

    def _ending_at_other_words(self, change: ViewChange, before: GridView) -> set[str]:
        """Links that may be drained, or not any more, by a word on a router."""
        routers = self._view.routers
        worded = {
            each
            for each in change.routers & before.routers.keys() & routers.keys()
            if routers[each].admin is not before.routers[each].admin
        }
        links = self._view.links.values() if worded else ()
        return {link.link_id for link in links if link.a in worded or link.b in worded}

    def _look_at_link(self, link_id: str, before: GridView, at_unix_ms: int) -> None:
        was, now = before.links[link_id], self._view.links.get(link_id)
        if now is not None and now.admin is not was.admin:
            self._say_admin("line", link_id, now.admin, at_unix_ms)
        is_up = now is not None and now.state is LinkState.UP
        went = was.state is LinkState.UP and not is_up
        is_drained = self._view.is_drained(now or was)
        # One that nobody speaks of any more was taken away, and is no news.
        is_missed = now is not None and not is_up and before.is_drained(was) and not is_drained
        if went or is_missed:
            _remember(self._down, link_id)
            kind = Kind.LINK_OFF if is_drained else Kind.LINK_DOWN
            why = why_down(self._view, now) if now is not None else NOBODY_SAYS
            if went:
                self._downs[why.cause] += 1
            self._say_down(kind, link_id, why.text, at_unix_ms)
        elif is_up and link_id in self._down:
            del self._down[link_id]
            self._marks.add(at_unix_ms, Kind.LINK_UP, link_id, f"line {link_id} is up again")

    def _look_at_router(self, router_id: str, before: GridView, at_unix_ms: int) -> None:
        was, now = before.routers[router_id], self._view.routers.get(router_id)
        if now is not None and now.admin is not was.admin:
            self._say_admin("router", router_id, now.admin, at_unix_ms)
        is_heard = now is not None and now.heard
        is_drained = (now or was).admin is AdminState.DRAINED
        if not is_heard and (was.heard or (was.admin is AdminState.DRAINED and not is_drained)):
            _remember(self._gone, router_id)
            kind = Kind.ROUTER_OFF if is_drained else Kind.ROUTER_GONE
            self._marks.add(at_unix_ms, kind, router_id, f"router {router_id} has no session")
        elif is_heard and router_id in self._gone:
            del self._gone[router_id]
            self._marks.add(at_unix_ms, Kind.ROUTER_BACK, router_id, f"router {router_id} is back")

    def _say_down(self, kind: Kind, link_id: str, why: str, at_unix_ms: int) -> None:
        now = self._view.links.get(link_id)
        silent = now is None or now.state is LinkState.UNKNOWN
        word = "is not heard of any more" if silent else "is down"
        because = f": {why}" if why else ""
        self._marks.add(at_unix_ms, kind, link_id, f"line {link_id} {word}{because}")

    def _say_admin(self, what: str, id_: str, admin: AdminState, at_unix_ms: int) -> None:
        kind, words = _ADMIN[admin]
        self._marks.add(at_unix_ms, kind, id_, f"{what} {id_} {words}")


def _remember(away: dict[str, None], id_: str) -> None:
    away[id_] = None
    if len(away) > MOST_AWAY:
        del away[next(iter(away))]


# What the marks of a controller itself are about.
CONTROLLER = "controller"


def note_role(marks: Marks, at_unix_ms: int, *, leads: bool, election_id: ElectionId) -> None:
    """This controller leads from now on, or does not any more."""
    term = f", election id {election_id.high}.{election_id.low}" if leads else ""
    word = "leads" if leads else "stands by"
    marks.add(at_unix_ms, Kind.LEADER_CHANGED, CONTROLLER, f"this controller {word}{term}")


def chosen(marks: Iterable[Mark], kinds: Collection[str], ids: Collection[str]) -> list[Mark]:
    """Those of these kinds and about these ids; none given: any."""
    return [
        mark
        for mark in marks
        if (not kinds or mark.kind.word in kinds) and (not ids or mark.id in ids)
    ]
