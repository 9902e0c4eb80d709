"""Writer task of a session: sends what waits in its outbox to its stream."""

import asyncio
import logging
from collections.abc import Callable

import grpc

from controller.southbound.sessions import RouterSession
from digitalgrid.supervision import start_once

_log = logging.getLogger(__name__)

# What a standby may say too.
_FOR_ANY_ROLE = ("hello", "read_meters")
# How long the write that is under way as the session ends may take: a router that reads needs milliseconds.
_LAST_WRITE_S = 1.0


class SessionWriter:
    """A task of its own, which is not cancelled within a write: gRPC cannot send a status beside one."""

    def __init__(
        self, session: RouterSession, context: grpc.aio.ServicerContext, may_act: Callable[[], bool]
    ) -> None:
        self._session = session
        self._context = context
        self._may_act = may_act
        self._writing = False
        self._stopping = False
        self._task = start_once("southbound-writer", self._run)

    async def _run(self) -> None:
        outbox = self._session.outbox
        while not self._stopping:
            message = await outbox.get()
            # A word of the leader's that waited too long for its turn may be a stale one by now.
            if message.WhichOneof("message") in _FOR_ANY_ROLE or self._may_act():
                self._writing = True
                try:
                    await self._context.write(message)
                except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
                    _log.debug("router %s: its stream is over: %s", self._session.router_id, error)
                    return
                finally:
                    self._writing = False

    async def until_ended(self) -> None:
        """Return once nothing can be written any more."""
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Write nothing more. CancelledError, which ends the call without a status, where the router takes nothing."""
        self._stopping = True
        if self._writing:
            await asyncio.wait([self._task], timeout=_LAST_WRITE_S)
        if self._writing:
            self._task.cancel()
            raise asyncio.CancelledError
        self._task.cancel()
