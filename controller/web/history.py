"""The last quarter of an hour of power, kept whether or not anybody looks: who opens the page after a fault sees it.

Of circuits that changed only their ids are noted as they do; each is looked at once every few seconds, in turns.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from controller.core.errors import Refusal
from controller.northbound.turns import in_turns
from controller.runtime.runtime import Runtime
from controller.web.figures import Figures
from digitalgrid.supervision import start_task

# How often (s) figures are kept, and how many of them.
EVERY_S = 5.0
_KEPT = 180

Second = tuple[int, float, float]


class PowerHistory:
    """(unix ms, injected W, delivered W), the newest last; empty while this controller knows no state."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._changed: set[int] = set()
        self._figures = Figures()
        self._is_new = True
        self.seconds: deque[Second] = deque(maxlen=_KEPT)

    @contextmanager
    def kept(self) -> Iterator[None]:
        feeds = self._runtime.feeds
        with feeds.circuits.subscribed(self._changed.add), feeds.roles.subscribed(self._begin):
            task = start_task("power-history", self._run)
            try:
                yield
            finally:
                task.cancel()

    def _begin(self) -> None:
        """Another state is true."""
        self._is_new = True

    async def _run(self) -> None:
        while True:
            with suppress(Refusal):
                await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Refusal where no state is known."""
        known = self._runtime.questions
        if self._is_new:
            self._is_new, self._figures = False, Figures()
            self._changed.update(known.circuits)
        figures, changed = self._figures, sorted(self._changed)
        self._changed.clear()

        def note(circuit_id: int) -> None:
            figures.note(circuit_id, known.circuits.get(circuit_id))

        async for _ in in_turns(changed, note):
            pass
        if figures is self._figures and not self._is_new:
            self.seconds.append(figures.second())
