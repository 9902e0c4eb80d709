"""What the neighbour has stated at its end of a line: demands, grants, and states that come in several frames."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from digitalgrid.limits import MAX_STATED_RECORDS
from digitalgrid.model import CircuitGeneration
from digitalgrid.wire import MARK_IDLE, Frame, PowerRecord, record_of

T = TypeVar("T")


class Grant(NamedTuple):
    """What the upstream neighbour grants at this end; ``drained``: nothing is under way above any more.

    ``charged``: it is idle, and all above are full. ``quick``: its packets come at short intervals.
    ``curtailed``: its source, or a line above, gives less than it needs.
    """

    power_mw: int
    drained: bool
    charged: bool = False
    quick: bool = False
    curtailed: bool = False


NO_GRANT = Grant(0, True)


def power_record(key: CircuitGeneration, energy: tuple[int, int], grant: Grant) -> PowerRecord:
    """As it is stated: what arrives, and what was lost on the way, with the grant from now on."""
    return record_of(PowerRecord, (key, *energy, *grant))


class Demand(NamedTuple):
    """What the downstream neighbour wants of this end, and its marks."""

    power_mw: int
    marks: int = 0


NO_DEMAND = Demand(0)

_Demands = dict[CircuitGeneration, Demand]
_Grants = dict[CircuitGeneration, Grant]


class TooManyRecordsError(ValueError):
    """More circuits than a line has; nothing of the state is kept."""


class NeighborState:
    """Bounded: at most ``MAX_STATED_RECORDS`` demands and as many grants, and again as many in an unfinished state.

    A part counts at once for the circuits that it names; what a whole state does not name is gone. The parts of a
    state are sent together: what is not finished ``deadline_ns`` after it began never will be. Nothing demanded, or
    granted, is the same whether it is named or not: that hangs on whether the frame had energy of it besides.
    """

    def __init__(self, deadline_ns: int) -> None:
        self._deadline_ns = deadline_ns
        self.forget()

    def forget(self) -> None:
        """The adjacency has ended: what was stated is void."""
        # What the neighbour wants of this end, and what it grants to this end.
        self.demands: _Demands = {}
        self.grants: _Grants = {}
        # Of what was taken up last: a load may be in the dark until it is followed.
        self.urgent = False
        # The whole states of the neighbour that were as all stands now, by the sequence numbers of their last frames:
        # the first of them, and the latest; 0 where there is none.
        self._whole_from = self.whole_seq = 0
        self._drop_parts()

    def is_as_in(self, state_seq: int) -> bool:
        """Whether what stands now is the whole of that state of the neighbour."""
        return 0 < self._whole_from <= state_seq <= self.whole_seq

    def mistrust(self) -> None:
        """The neighbour takes something else for the whole of its state than stands here: it is to state it again."""
        self._whole_from = self.whole_seq = 0

    def expire(self, now_ns: int) -> None:
        if self._next_part > 0 and now_ns - self._began_ns > self._deadline_ns:
            self._drop_parts()

    def take(self, frame: Frame, now_ns: int) -> bool:
        """Take up a state or a part of one; True where something is not what it was. Raises TooManyRecordsError."""
        demands = {each[0]: record_of(Demand, each[1:]) for each in frame.demands}
        grants = {each[0]: record_of(Grant, each[3:]) for each in frame.power}
        self.urgent = False
        if frame.parts == 1:
            self._drop_parts()
            return self._replace(demands, grants, frame.seq)
        changed = self._merge(demands, grants)
        if changed:
            self.mistrust()
        return self._add_part(frame, demands, grants, now_ns) or changed

    def _replace(self, demands: _Demands, grants: _Grants, state_seq: int) -> bool:
        changed = False
        if demands != self.demands or grants != self.grants:
            demands = {key: each for key, each in demands.items() if each != NO_DEMAND}
            grants = {key: each for key, each in grants.items() if each != NO_GRANT}
            changed = demands != self.demands or grants != self.grants
        if changed:
            gone = dict.fromkeys(self.grants.keys() - grants.keys(), NO_GRANT)
            self._note_urgent(demands, {**grants, **gone})
        if changed or not self._whole_from:
            self._whole_from = state_seq
        self.whole_seq = state_seq
        self.demands, self.grants = demands, grants
        return changed

    def _merge(self, demands: _Demands, grants: _Grants) -> bool:
        """Only while there is room: circuits that are new wait for the whole state otherwise."""
        if len(self.demands) + len(demands) > MAX_STATED_RECORDS:
            demands = {key: demands[key] for key in demands.keys() & self.demands.keys()}
        if len(self.grants) + len(grants) > MAX_STATED_RECORDS:
            grants = {key: grants[key] for key in grants.keys() & self.grants.keys()}
        wants, gets = (
            _differ(self.demands, demands, NO_DEMAND),
            _differ(self.grants, grants, NO_GRANT),
        )
        self._note_urgent(wants, gets)
        _set(self.demands, wants, NO_DEMAND)
        _set(self.grants, gets, NO_GRANT)
        return bool(wants or gets)

    def _note_urgent(self, demands: _Demands, grants: _Grants) -> None:
        """Grants that vanish, and demands on what has stood by."""
        self.urgent = (
            self.urgent
            or any(
                not grant.power_mw and self.grants.get(key, NO_GRANT).power_mw
                for key, grant in grants.items()
            )
            or any(
                self.demands.get(key, NO_DEMAND).marks & MARK_IDLE and not demand.marks & MARK_IDLE
                for key, demand in demands.items()
            )
        )

    def _add_part(
        self,
        frame: Frame,
        demands: _Demands,
        grants: _Grants,
        now_ns: int,
    ) -> bool:
        """With the last part, and none missing, what no part named goes; True where there was such."""
        self.expire(now_ns)
        if frame.part == 0:
            self._drop_parts()
            self._began_ns = now_ns
        if frame.part != self._next_part:
            self._drop_parts()
            return False
        self._next_part += 1
        self._part_demands.update(demands)
        self._part_grants.update(grants)
        if max(len(self._part_demands), len(self._part_grants)) > MAX_STATED_RECORDS:
            self._drop_parts()
            raise TooManyRecordsError(
                f"it states more than the {MAX_STATED_RECORDS} circuits that a line may have"
            )
        if self._next_part < frame.parts:
            return False
        whole_demands, whole_grants = self._part_demands, self._part_grants
        self._drop_parts()
        return self._replace(whole_demands, whole_grants, frame.seq)

    def _drop_parts(self) -> None:
        """Whatever part comes next, only the first begins a state."""
        self._next_part = 0
        self._began_ns = 0
        self._part_demands: _Demands = {}
        self._part_grants: _Grants = {}


def _differ(
    stated: Mapping[CircuitGeneration, T], anew: Mapping[CircuitGeneration, T], nothing: T
) -> dict[CircuitGeneration, T]:
    """What was another before."""
    get = stated.get
    return {key: value for key, value in anew.items() if get(key, nothing) != value}


def _set(
    stated: dict[CircuitGeneration, T], anew: Mapping[CircuitGeneration, T], nothing: T
) -> None:
    for key, value in anew.items():
        if value == nothing:
            del stated[key]
        else:
            stated[key] = value
