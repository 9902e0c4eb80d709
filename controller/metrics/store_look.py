"""A look at the store now and then: what it takes and has left, which may take its disk or etcd a while to tell."""

import asyncio
import logging

from controller.runtime.runtime import Runtime
from controller.store.protocol import StoreError, StoreRoom

_log = logging.getLogger(__name__)
# Between two looks (s).
LOOK_S = 5.0


class StoreLook:
    """``room`` is what was told last; None where no store of this controller tells it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.room: StoreRoom | None = None
        self._fails = False

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        try:
            self.room = await self._runtime.stored.room()
        except StoreError as error:
            self.room = None
            if not self._fails:
                _log.warning("metrics: what the store takes is not told: %s", error)
            self._fails = True
        else:
            self._fails = False
