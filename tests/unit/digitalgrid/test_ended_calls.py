"""Calls that fail: they have a status with details, and leave little for the garbage collector."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import grpc

from digitalgrid.reasons import RefusalCode
from digitalgrid.rpc.statuses import end_with, status_of

STATUS = status_of(RefusalCode.NOT_FOUND, "NONE", "there is none")
CALLS = 50


async def _refuse(request: bytes, context: Any) -> None:
    end_with(context, STATUS)


async def _failed(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
    try:
        await channel.unary_unary("/refusing/Call")(b"")
    except grpc.aio.AioRpcError as error:
        return error.with_traceback(None)
    raise AssertionError("it was answered")


async def _ended(address: str) -> tuple[grpc.aio.AioRpcError, int]:
    """How the first ended, and the objects in cycles that the others left."""
    server = grpc.aio.server()
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(_refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("refusing", handlers),))
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        first = await _failed(channel)
        gc.collect()
        gc.disable()
        try:
            for _ in range(CALLS):
                await _failed(channel)
            left = gc.collect()
        finally:
            gc.enable()
    await server.stop(None)
    return first, left


def test_a_call_that_fails_has_its_status_and_leaves_little_garbage(tmp_path: Path) -> None:
    error, left = asyncio.run(_ended(f"unix:{tmp_path}/server"))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "there is none")
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert details == STATUS.SerializeToString()
    # By `abort` they would leave some thirty each.
    assert left < 10 * CALLS
