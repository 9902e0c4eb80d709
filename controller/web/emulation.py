"""Faults from the page, where routers are emulated: commands to the emulation that this daemon is part of, over the
socket that it obeys `dgc fault` by, one JSON object a line each way.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from digitalgrid.http import body_of

# A router that is started again takes a second or two.
_PATIENCE_S = 30.0
_MOST_BYTES = 1 << 20
# What the page may ask for. The controller is not among it: nobody would answer.
VERBS = frozenset(
    {"cut", "restore", "silence", "heal", "cloud", "clear", "unplug", "plug", "kill", "restart"}
)


class EmulationFaults:
    """``socket`` is that of the emulation."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def answer(self, request: web.Request) -> web.Response:
        """POST ``/api/v1/emulation/<verb>`` with ``{"id": ...}``, for a cloud ``share`` and ``for_s`` too."""
        verb = request.match_info["verb"]
        if verb not in VERBS:
            raise web.HTTPNotFound(text=f"no such fault; it is one of {', '.join(sorted(VERBS))}\n")
        try:
            said = json.loads(await body_of(request))
            command = {"verb": verb, "target": str(said["id"])}
            command |= {key: said[key] for key in ("share", "for_s") if key in said}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise web.HTTPBadRequest(text='say which, as in {"id": "r1-r2"}\n') from None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                done = await self._command(command)
        except (OSError, TimeoutError, ValueError) as error:
            said = f"the emulation does not answer: {error or 'it takes too long'}"
            return web.json_response({"message": said}, status=503)
        if "error" in done:
            return web.json_response({"message": str(done["error"])}, status=409)
        return web.json_response(done)

    async def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        async with self._connected() as (reader, writer):
            writer.write(json.dumps(command).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await reader.readline())
        if not isinstance(answer, dict):
            raise ValueError("what it says is no answer")
        return answer

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        # A socket's path may have 107 bytes only; by way of its folder's descriptor it has.
        folder = os.open(self._socket.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path = f"/proc/self/fd/{folder}/{self._socket.name}"
            reader, writer = await asyncio.open_unix_connection(path, limit=_MOST_BYTES)
        finally:
            os.close(folder)
        try:
            yield reader, writer
        finally:
            writer.close()
