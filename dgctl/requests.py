"""A request whose id was used before gets the circuits of then, which may have ended meanwhile."""

from collections.abc import Sequence

import grpc

from digitalgrid.client import RequestRefused
from digitalgrid.v1 import northbound_pb2 as pb

_WORDS = {
    pb.CIRCUIT_STATE_WITHDRAWING: "is being released",
    pb.CIRCUIT_STATE_WITHDRAWN: "was released",
    pb.CIRCUIT_STATE_FAILED: "has failed",
}


def ended(circuits: Sequence[pb.Circuit]) -> str:
    """What became of all of them, in words; empty where there are none, or one may still bring power."""
    words = []
    for circuit in circuits:
        if circuit.state not in _WORDS:
            return ""
        why = f" ({circuit.reason})" if circuit.reason else ""
        words.append(f"circuit {circuit.circuit_id} {_WORDS[circuit.state]}{why}")
    return ", ".join(words)


def refuse_ended(answer: pb.RequestPowerResponse) -> None:
    """Raises RequestRefused where the answer has nothing but circuits that bring no power any more."""
    if became := ended(answer.circuits):
        raise RequestRefused(
            grpc.StatusCode.ALREADY_EXISTS,
            f"the request {answer.request_id!r} was made before, and its {became}; use a new id",
        )
