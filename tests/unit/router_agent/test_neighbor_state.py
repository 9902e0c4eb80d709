"""What a neighbour states is kept within bounds, however it is said."""

import pytest

from digitalgrid.limits import MAX_STATED_RECORDS
from digitalgrid.model import CircuitGeneration
from digitalgrid.wire import DemandRecord, Frame, PowerRecord
from router_agent.device.neighbor_state import NeighborState, TooManyRecordsError

DEADLINE_NS = 170
RECORDS = 5000


def part_of(part: int, parts: int, first_id: int, records: int = RECORDS) -> Frame:
    demands = tuple(
        DemandRecord(CircuitGeneration(first_id + number, 1), 9) for number in range(records)
    )
    return Frame(1, 2, 3, 4, 5, 0, 0, 0, part, parts, (), demands)


def test_beginnings_of_states_that_never_end_do_not_fill_the_memory() -> None:
    state = NeighborState(DEADLINE_NS)
    for number in range(20):
        state.take(part_of(0, 2, first_id=number * RECORDS), now_ns=number)
    assert MAX_STATED_RECORDS - RECORDS < len(state.demands) <= MAX_STATED_RECORDS
    assert state.take(part_of(0, 1, 0, records=1), now_ns=100)
    assert len(state.demands) == 1


def test_a_state_of_more_circuits_than_a_line_has_is_refused() -> None:
    state = NeighborState(DEADLINE_NS)
    with pytest.raises(TooManyRecordsError):
        for part in range(20):
            state.take(part_of(part, 20, first_id=part * RECORDS), now_ns=0)
    assert len(state.demands) <= MAX_STATED_RECORDS


def test_what_is_not_finished_by_its_deadline_never_will_be() -> None:
    state = NeighborState(DEADLINE_NS)
    state.take(part_of(0, 1, 0, records=5), now_ns=0)
    state.take(part_of(0, 2, 0, records=1), now_ns=10)
    state.take(part_of(1, 2, 1, records=1), now_ns=10 + DEADLINE_NS + 1)
    assert len(state.demands) == 5
    state.take(part_of(0, 2, 0, records=1), now_ns=500)
    state.take(part_of(1, 2, 1, records=1), now_ns=500 + DEADLINE_NS)
    assert len(state.demands) == 2


def state_of(seq: int, *power: PowerRecord) -> Frame:
    return Frame(1, 2, 3, 4, seq, 0, 0, 0, 0, 1, power, ())


def test_energy_of_what_is_granted_nothing_does_not_make_it_another_state() -> None:
    """Its sender, who takes it for the same, may stand on either."""
    state = NeighborState(DEADLINE_NS)
    runs, ended = CircuitGeneration(1, 1), CircuitGeneration(2, 1)
    granted = PowerRecord(runs, 0, 0, 1000, False)
    assert state.take(state_of(1, granted, PowerRecord(ended, 5, 0, 0, True)), now_ns=0)
    assert not state.take(state_of(2, granted), now_ns=1)
    assert state.is_as_in(1) and state.is_as_in(2)
    state.mistrust()
    assert state.whole_seq == 0 and not state.is_as_in(2)
    assert not state.take(state_of(3, granted), now_ns=2)
    assert state.is_as_in(3) and not state.is_as_in(2)
