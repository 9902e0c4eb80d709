"""The stream of circuits, with conflation: of each watcher only the ids are kept that changed since it was last sent
something, so a slow one gets the newest state of each, in bounded memory.
"""

import asyncio
from collections.abc import AsyncGenerator

from controller.core.errors import Refusal
from controller.northbound.codec import circuit_to_pb
from controller.runtime.runtime import Runtime
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb


async def circuit_events(runtime: Runtime) -> AsyncGenerator[pb.WatchCircuitsResponse]:
    """All circuits that have not ended, a marker, then each that changes, as it stands when it is sent."""
    questions = runtime.questions
    circuits = questions.circuits
    changed: dict[int, None] = {}
    wake = asyncio.Event()

    def note(circuit_id: int) -> None:
        changed[circuit_id] = None
        wake.set()

    with runtime.feeds.circuits.subscribed(note), runtime.feeds.roles.subscribed(wake.set):
        # Each is sent by itself, and others have their turn meanwhile; so only the ids are taken at once.
        for circuit_id in list(circuits):
            circuit = circuits.get(circuit_id)
            if circuit is not None and not circuit.state.ended:
                changed.pop(circuit_id, None)
                yield pb.WatchCircuitsResponse(circuit=circuit_to_pb(circuit))
        yield pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone())
        while True:
            await wake.wait()
            wake.clear()
            if not runtime.is_current(questions):
                raise _role_changed()
            while changed:
                circuit_id = next(iter(changed))
                del changed[circuit_id]
                if circuit_id in circuits:
                    yield pb.WatchCircuitsResponse(circuit=circuit_to_pb(circuits[circuit_id]))


def _role_changed() -> Refusal:
    return Refusal(
        Reason.ROLE_CHANGED,
        "this controller's role has changed, and with it what it knows; watch again",
    )
