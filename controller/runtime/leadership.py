"""Leadership: which controller leads, as far as this one knows, and the redirect for clients that ask the wrong one."""

import asyncio
from contextlib import suppress

from controller.core.errors import Refusal
from controller.store.protocol import Leader
from digitalgrid.reasons import Reason


class Leadership:
    """Known while this controller leads, or knows who does, or is about to stop and will not hear any more."""

    def __init__(self) -> None:
        # Who leads, where another does.
        self.leader: Leader | None = None
        self._here = self._left = False
        self._known = asyncio.Event()

    def set_here(self, here: bool) -> None:
        """Whether this controller leads."""
        self._here = here
        self._note()

    def set_leader(self, leader: Leader | None) -> None:
        """Another leads, or nobody."""
        self.leader = leader
        self._note()

    def leave(self) -> None:
        """This controller is about to stop."""
        self._left = True
        self._note()

    def _note(self) -> None:
        if self._here or self.leader is not None or self._left:
            self._known.set()
        else:
            self._known.clear()

    async def wait(self, within_s: float) -> None:
        """Return once it is known who leads, or when it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._known.wait()

    def refusal(self) -> Refusal:
        """For who wants something decided where another leads, or nobody."""
        if self.leader is None and self._left:
            return unavailable(Reason.LEAVING, "this controller is about to stop, ask another")
        if self.leader is None:
            return unavailable(Reason.NO_LEADER, "no controller leads just now")
        return Refusal(
            Reason.NOT_LEADER,
            f"controller {self.leader.name!r} leads; ask it at {self.leader.northbound}",
            metadata={"leader": self.leader.name, "leader_address": self.leader.northbound},
        )


def unavailable(reason: Reason, message: str) -> Refusal:
    """For the moment."""
    return Refusal(reason, f"{message}; try again in a moment")
