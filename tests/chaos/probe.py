"""A client that knows all controllers and asks without a pause, to see who decides, and from when on."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from typing import Any, Self

import grpc

from digitalgrid.channels import asyncio_channel
from digitalgrid.client import PowerError, power_request
from digitalgrid.client.errors import from_rpc_error
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import PowerServiceStub
from tests.chaos.journal import Journal

_WITHIN_S = 30.0
_CALL_WITHIN_S = 1.0
# Somebody who has just answered "no" is asked again after this; the machine has few cores, and others need them.
_PAUSE_S = 0.002
# Fits into what is left between much larger requests.
_POWER_W = 10.0
_NOBODYS_CIRCUIT = 2**62
_RECONNECT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200))


class Probe:
    def __init__(self, addresses: Sequence[str], journal: Journal, sink_id: str) -> None:
        self._addresses = tuple(addresses)
        self._journal = journal
        self._sink_id = sink_id
        self._numbers = count(1)
        self._current = self._addresses[0]

    async def __aenter__(self) -> Self:
        self._channels = {each: asyncio_channel(each, _RECONNECT) for each in self._addresses}
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def leader(self) -> str:
        """The address of whoever decides."""
        request = pb.ReleaseCircuitRequest(circuit_id=_NOBODYS_CIRCUIT)
        address, _ = await self._ask("ReleaseCircuit", request)
        return address

    async def admitted(self, without: str = "") -> float:
        """When a request was first admitted by anybody, by the monotonic clock. The one at ``without`` is not asked."""
        _, at_s = await self._admitted(without)
        return at_s

    async def admitted_by_successor(self, leader: str) -> float:
        """The same by anybody but this one, which is asked first, as by any client who knows who leads."""
        self._current = leader
        address, at_s = await self._admitted()
        while address == leader:
            address, at_s = await self._admitted()
        return at_s

    async def _admitted(self, without: str = "") -> tuple[str, float]:
        """Who has admitted a request, and when."""
        while True:
            request = power_request(
                self._sink_id, _POWER_W, request_id=f"probe-{next(self._numbers)}"
            )
            self._journal.ask([request])
            called_at_s = time.monotonic()
            asked = pb.RequestPowerRequest(request=request)
            address, answer = await self._ask("RequestPower", asked, without)
            if isinstance(answer, pb.RequestPowerResponse):
                at_s = time.monotonic()
                self._journal.acknowledge(request.request_id, answer.circuits, called_at_s)
                return address, at_s
            self._journal.refuse(request.request_id)

    async def _ask(self, method: str, request: Any, without: str = "") -> tuple[str, Any]:
        """Who decided, and its answer, which may be a refusal. Goes to whoever is said to lead, else to the next."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                while self._current == without:
                    self._go_on()
                address = self._current
                call = getattr(PowerServiceStub(self._channels[address]), method)
                try:
                    return address, await call(request, timeout=_CALL_WITHIN_S)
                except grpc.RpcError as rpc_error:
                    error = from_rpc_error(rpc_error, address)
                if _decided(error):
                    return address, error
                leader = error.metadata.get("leader_address", "")
                if leader not in ("", without, address):
                    self._current = leader
                else:
                    self._go_on()
                    await asyncio.sleep(_PAUSE_S)

    def _go_on(self) -> None:
        at = self._addresses.index(self._current)
        self._current = self._addresses[(at + 1) % len(self._addresses)]


def _decided(error: PowerError) -> bool:
    """Whether that was a decision of who leads."""
    not_there = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return error.code not in not_there and error.reason != Reason.NOT_LEADER
