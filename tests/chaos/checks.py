"""What must be true after an accident: nothing promised is lost, half there, or more than the grid can carry."""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from digitalgrid.client import AsyncPowerClient, ControllerUnreachable
from digitalgrid.model import NO_ELECTION_ID, CircuitGeneration, ElectionId, ResultCode
from digitalgrid.v1 import northbound_pb2 as pb
from tests.chaos.fleet import History, Mutated
from tests.chaos.journal import Journal, Promise
from tests.chaos.limits import SLACK
from tests.chaos.routers import Routers

_log = logging.getLogger(__name__)

# Reading back what a repair did not reach takes one interval of it.
_SETTLED_WITHIN_S = 40.0
_CONNECTED_WITHIN_S = 120.0
_POLL_S = 0.05

_ENDED = {
    pb.CIRCUIT_STATE_WITHDRAWING,
    pb.CIRCUIT_STATE_WITHDRAWN,
}
_SETTLED = {
    pb.CIRCUIT_STATE_ACTIVE,
    pb.CIRCUIT_STATE_WAITING,
    pb.CIRCUIT_STATE_WITHDRAWN,
    pb.CIRCUIT_STATE_FAILED,
}


@dataclass(slots=True)
class Findings:
    """A sentence on each thing that must not be."""

    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    over_subscribed: list[str] = field(default_factory=list)
    # Not what is counted, and wrong all the same.
    other: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        return [
            f"{kind}: {each}"
            for kind, found in (
                ("lost", self.lost),
                ("torn", self.torn),
                ("over-subscribed", self.over_subscribed),
                ("other", self.other),
            )
            for each in found
        ]


async def connected(client: AsyncPowerClient, routers: int) -> None:
    """Return once all routers have a session with whoever is asked."""
    async with asyncio.timeout(_CONNECTED_WITHIN_S):
        while True:
            topology = await client.get_topology()
            if sum(router.connected for router in topology.routers) == routers:
                return
            await asyncio.sleep(_POLL_S)


async def loaded(client: AsyncPowerClient) -> None:
    """Return once the compiled engine has taken over: whoever is asked has loaded all that it ever will."""
    async with asyncio.timeout(_CONNECTED_WITHIN_S):
        while True:
            if (await client.get_topology()).engine == "compiled":
                return
            await asyncio.sleep(_POLL_S)


async def check_state(client: AsyncPowerClient, journal: Journal, findings: Findings) -> None:
    """What a controller says right after an accident, before anything that was not answered is repeated."""
    check_promises(journal, (await client.list_circuits(include_ended=True)).circuits, findings)
    findings.over_subscribed += _over_subscribed(await client.get_topology())


def check_promises(journal: Journal, circuits: Sequence[pb.Circuit], findings: Findings) -> None:
    findings.lost += _lost(journal, circuits)
    findings.torn += _torn(journal, circuits)


async def check_settled(
    client: AsyncPowerClient, routers: Routers, journal: Journal, findings: Findings
) -> None:
    """With nobody asking: all that is promised runs or waits, and routers hold exactly what the controller says."""
    left: list[str] = []
    try:
        async with asyncio.timeout(_SETTLED_WITHIN_S):
            while True:
                circuits = (await client.list_circuits(include_ended=True)).circuits
                left = unsettled(circuits, await routers.held())
                if not left:
                    break
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        findings.torn += [f"{each}, after {_SETTLED_WITHIN_S:g} s" for each in left]
    await check_state(client, journal, findings)
    findings.other += journal.faults
    journal.faults.clear()


@asynccontextmanager
async def watching_limits(client: AsyncPowerClient, findings: Findings) -> AsyncIterator[None]:
    """Look at what is promised while it changes."""
    watching = asyncio.create_task(_watch_limits(client, findings))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch_limits(client: AsyncPowerClient, findings: Findings) -> None:
    while True:
        try:
            findings.over_subscribed += _over_subscribed(await client.get_topology())
        except ControllerUnreachable as error:
            # Who is not there promises nothing just now.
            _log.debug("no limits to look at: %s", error)
        await asyncio.sleep(_POLL_S)


def check_history(history: History, findings: Findings) -> None:
    """What routers were committed to at every instant."""
    findings.over_subscribed += history.over_subscriptions


def stale_writes(history: History, elected_at_s: dict[ElectionId, float]) -> Iterator[Mutated]:
    """Mutations that were accepted under a lower election id than that of whoever was elected by then."""
    for each in history.mutations:
        elected = max(
            (id_ for id_, at_s in elected_at_s.items() if at_s <= each.at_s), default=NO_ELECTION_ID
        )
        if each.code is ResultCode.OK and each.election_id < elected:
            yield each


def _lost(journal: Journal, circuits: Sequence[pb.Circuit]) -> Iterator[str]:
    found = {each.circuit_id: each for each in circuits}
    for promise in journal.promises.values():
        circuit = found.get(promise.circuit_id)
        where = f"circuit {promise.circuit_id} of request {promise.request_id}"
        if promise.released:
            if circuit is not None and circuit.admin_up:
                yield f"{where}: its release was acknowledged, and it stands"
        elif circuit is None:
            yield f"{where}: was acknowledged, and is not known"
        elif not promise.release_asked and _is_broken(promise, circuit):
            yield (
                f"{where}: was acknowledged with {sorted(promise.possible_w)} W, and is"
                f" {pb.CircuitState.Name(circuit.state)} with {circuit.power_w} W ({circuit.reason})"
            )


def _is_broken(promise: Promise, circuit: pb.Circuit) -> bool:
    ended = circuit.state in _ENDED or circuit.state == pb.CIRCUIT_STATE_FAILED
    return ended or not circuit.admin_up or circuit.power_w not in promise.possible_w


def _torn(journal: Journal, circuits: Sequence[pb.Circuit]) -> Iterator[str]:
    by_request: dict[str, list[pb.Circuit]] = defaultdict(list)
    for circuit in circuits:
        by_request[circuit.request_id].append(circuit)
        if circuit.state not in _ENDED and circuit.router_ids:
            yield from _incomplete(circuit)
    for request_id in by_request.keys() - journal.asked.keys():
        yield f"request {request_id}: has circuits, and nobody asked"
    for asked in journal.unanswered():
        powers_w = [each.power_w for each in by_request.get(asked.request.request_id, ())]
        whole = math.isclose(sum(powers_w), asked.request.power_w, rel_tol=1e-9)
        if powers_w and not whole:
            yield (
                f"request {asked.request.request_id}: asked for {asked.request.power_w} W, and there"
                f" are circuits of {powers_w} W"
            )


def _incomplete(circuit: pb.Circuit) -> Iterator[str]:
    """A circuit whose path does not lead from its source to its sink, or whose power grows on the way."""
    where = f"circuit {circuit.circuit_id}"
    if not circuit.source_id or not circuit.sink_id:
        yield f"{where}: has a path, and no source or no sink"
    ends = [(link.from_router_id, link.to_router_id) for link in circuit.links]
    if ends != list(pairwise(circuit.router_ids)):
        yield f"{where}: its links {ends} do not join its routers {list(circuit.router_ids)}"
    powers_w = [circuit.injected_w]
    for link in circuit.links:
        powers_w += [link.sent_w, link.received_w]
    powers_w.append(circuit.power_w)
    # Of a circuit that is being changed, the path may be that of the power before.
    if circuit.state == pb.CIRCUIT_STATE_ACTIVE and any(
        after > before * SLACK for before, after in pairwise(powers_w)
    ):
        yield f"{where}: power grows on its way: {powers_w}"


def _over_subscribed(topology: pb.Topology) -> Iterator[str]:
    """What the controller has promised, beside what there is."""
    taken = [
        (link.link_id, link.reserved_a_to_b_a + link.reserved_b_to_a_a, link.ampacity_a)
        for link in topology.links
    ]
    taken += [(each.source_id, each.reserved_w, each.max_power_w) for each in topology.sources]
    taken += [(each.load_id, each.reserved_w, each.max_power_w) for each in topology.loads]
    for name, reserved, limit in taken:
        if reserved > limit * SLACK:
            yield f"{name}: {reserved:.6g} is reserved of {limit:.6g}"


def unsettled(
    circuits: Iterable[pb.Circuit], held: set[tuple[str, CircuitGeneration]]
) -> list[str]:
    found = []
    expected = set()
    for circuit in circuits:
        if circuit.state not in _SETTLED:
            state = pb.CircuitState.Name(circuit.state)
            found.append(f"circuit {circuit.circuit_id} is {state} ({circuit.reason})")
        if circuit.state == pb.CIRCUIT_STATE_ACTIVE:
            key = CircuitGeneration(circuit.circuit_id, circuit.generation)
            expected |= {(router_id, key) for router_id in circuit.router_ids}
    found += [f"{router_id} lacks {key}" for router_id, key in sorted(expected - held)]
    found += [f"{router_id} holds {key} unasked" for router_id, key in sorted(held - expected)]
    return found
