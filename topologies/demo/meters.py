"""Reads the meters of a network whole: a figure over those routers only that happened to answer would flatter."""

import asyncio
import time
from typing import Protocol

from digitalgrid.v1 import northbound_pb2
from digitalgrid.v1 import power_link_pb2 as pb

# Until a reading that is not whole is asked for again (s): about a tick of routers.
_POLL_S = 0.25

Meters = list[pb.RouterMeters]


class ReadsMeters(Protocol):
    async def read_meters(self) -> northbound_pb2.ReadAllMetersResponse: ...


async def whole_reading(client: ReadsMeters, patience_s: float) -> Meters:
    """Of every router that the controller knows, until all have answered; TimeoutError names those that do not."""
    deadline_s = time.monotonic() + patience_s
    while True:
        answer = await client.read_meters()
        if answer.meters and not answer.missing_router_ids:
            return list(answer.meters)
        if time.monotonic() > deadline_s:
            silent = ", ".join(answer.missing_router_ids) or "all routers"
            raise TimeoutError(f"after {patience_s:g} s the meters of {silent} cannot be read")
        await asyncio.sleep(_POLL_S)
