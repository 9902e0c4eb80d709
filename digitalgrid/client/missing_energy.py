"""Missing energy of a circuit, as people and studies speak of it: milliseconds of its promised power, by cause."""

from digitalgrid.model import MissingCause
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2


def missing_mj(missing: power_link_pb2.MissingEnergy) -> dict[MissingCause, int]:
    """In millijoules, causes without any too."""
    return {
        MissingCause.START: missing.start_mj,
        MissingCause.FAULT: missing.fault_mj,
        MissingCause.MOVE: missing.move_mj,
        MissingCause.CURTAILMENT: missing.curtailment_mj,
        MissingCause.REFUSED: missing.refused_mj,
    }


def missing_ms(circuit: pb.Circuit) -> dict[MissingCause, float] | None:
    """For how long (ms) all of the power that it has now was missing, or as much as makes the same energy. None: nobody
    counts it.
    """
    if not circuit.HasField("missing") or not circuit.power_w:
        return None
    return {
        cause: energy_mj / circuit.power_w
        for cause, energy_mj in missing_mj(circuit.missing).items()
    }
