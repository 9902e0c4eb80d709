"""What a watch shows: what changed in what it shows, and only that."""

from dgctl.formats import Format
from dgctl.output import news
from digitalgrid.v1 import northbound_pb2 as pb


def event(circuit_id: int = 7, **fields: object) -> pb.WatchCircuitsResponse:
    circuit = pb.Circuit(circuit_id=circuit_id, sink_id="town", power_w=2e6)
    circuit.MergeFrom(pb.Circuit(**fields))  # type: ignore[arg-type]
    return pb.WatchCircuitsResponse(circuit=circuit)


ACTIVE = event(state=pb.CIRCUIT_STATE_ACTIVE)
# Only what no line shows is another.
BOOKED = event(state=pb.CIRCUIT_STATE_ACTIVE, interruptions=1)
MOVED = event(state=pb.CIRCUIT_STATE_REROUTING)
DONE = pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone())


def test_a_circuit_is_shown_again_when_its_line_is_another() -> None:
    other = event(8, state=pb.CIRCUIT_STATE_ACTIVE)
    told = [ACTIVE, other, DONE, ACTIVE, BOOKED, MOVED, MOVED, other, ACTIVE]
    lines = [line.split("  ")[0] for line in news(told, Format.TABLE)]
    assert lines == [
        "circuit 7 ACTIVE",
        "circuit 8 ACTIVE",
        "-- these were all circuits; changes follow --\n",
        "circuit 7 REROUTING",
        "circuit 7 ACTIVE",
    ]


def test_for_programs_a_circuit_is_written_when_any_field_of_it_is_another() -> None:
    told = [ACTIVE, DONE, ACTIVE, BOOKED, BOOKED, MOVED]
    assert len(list(news(told, Format.JSON))) == 4
    assert len(list(news(told, Format.YAML))) == 4


def test_what_has_ended_is_forgotten() -> None:
    gone = event(state=pb.CIRCUIT_STATE_WITHDRAWN)
    assert len(list(news([ACTIVE, gone], Format.TABLE))) == 2
