"""Looks at the network for all who watch it, in whatever form they are told: what changed is found once, as pictures.

Lines and routers that come, go, or change their state are seen at once; what is reserved follows from looks at the
whole network, in turns, as the budget allows.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Protocol

from controller.core.errors import Refusal
from controller.core.network.view import GridView
from controller.northbound.topology_codec import Key, Kind, Picture, keys_of, pictures
from controller.northbound.turns import in_turns
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from digitalgrid.supervision import start_task

# Conflation (s): what is reserved within this time is told together.
PACE_S = 0.05
# Pictures that are taken in one turn of the loop, at 5 to 20 us each.
_AT_ONCE = 128


class Viewer(Protocol):
    """Who tells what is seen. All of it is called in the loop, and within what is charged to those who watch."""

    def see(self, key: Key, before: Picture | None, now: Picture | None) -> None:
        """Another picture than before; None where there was, or is, no such thing."""

    def told(self, lsdb_version: int) -> None:
        """That was all for now."""

    def refuse(self, refusal: Refusal) -> None:
        """There is nothing to see, for now."""


class TopologyLooks:
    """Nothing is done while nobody watches."""

    def __init__(self, runtime: Runtime, gate: Gate) -> None:
        self._runtime = runtime
        self._gate = gate
        self._viewers: list[Viewer] = []
        self._unshown: list[Viewer] = []
        # Those who wait for their first view.
        self._coming = 0
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._looked_at_s = 0.0
        # Something may have changed; so may the network itself.
        self._noted, self._view_noted = asyncio.Event(), asyncio.Event()
        # What kept the newest look from seeing anything, if anything did.
        self._refusal: Refusal | None = None
        self._forget()

    def _forget(self) -> None:
        self._pictures: dict[Key, Picture] = {}
        self._lsdb_version = 0
        self._view = GridView(version=0)

    def join(self, viewer: Viewer) -> None:
        """Show it what there is, from :meth:`be_current` on, and what changes."""
        self._viewers.append(viewer)
        self._unshown.append(viewer)
        if len(self._viewers) == 1:
            self._begin()

    def leave(self, viewer: Viewer) -> None:
        self._viewers.remove(viewer)
        if viewer in self._unshown:
            self._unshown.remove(viewer)
        if not self._viewers:
            self._end()

    async def be_current(self) -> None:
        """Return once viewers have seen all that is there now; whoever comes waits for no budget."""
        self._coming += 1
        self._gate.look_again()
        try:
            async with self._looking:
                await self._show_what_is_known()
                if self._noted.is_set() or self._refusal is not None:
                    await self._look()
        finally:
            self._coming -= 1

    async def _show_what_is_known(self) -> None:
        """To those who joined while others were there already."""
        while self._unshown:
            viewer = self._unshown.pop()

            def show(key: Key, viewer: Viewer = viewer) -> None:
                picture = self._pictures.get(key)
                if picture is not None and viewer in self._viewers:
                    viewer.see(key, None, picture)

            async for _ in in_turns(list(self._pictures), show):
                pass
            if viewer in self._viewers:
                viewer.told(self._lsdb_version)

    def _begin(self) -> None:
        feeds = self._runtime.feeds
        feeds.roles.subscribe(self._note_view)
        feeds.topology.subscribe(self._note_view)
        # Reservations are part of the view, and change with the circuits that hold them.
        feeds.circuits.subscribe(self._note_circuit)
        self._noted.set()
        self._task = start_task("topology-looks", self._run)

    def _end(self) -> None:
        feeds = self._runtime.feeds
        feeds.roles.unsubscribe(self._note_view)
        feeds.topology.unsubscribe(self._note_view)
        feeds.circuits.unsubscribe(self._note_circuit)
        if self._task is not None:
            self._task.cancel()
        self._refusal = None
        self._view_noted.clear()
        self._forget()

    def _note_circuit(self, _circuit_id: int) -> None:
        self._noted.set()

    def _note_view(self) -> None:
        self._view_noted.set()
        self._noted.set()
        self._gate.look_again()

    async def _run(self) -> None:
        while True:
            await self._noted.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._looked_at_s + PACE_S):
                    await self._view_noted.wait()
            await self._gate.enter(self._is_urgent)
            if self._view_noted.is_set():
                self._look_at_view()
            else:
                async with self._looking:
                    await self._look()

    def _is_urgent(self) -> bool:
        return self._coming > 0 or self._view_noted.is_set()

    def _look_at_view(self) -> None:
        """At what is another link or router than it was: soon done, however many there are."""
        self._view_noted.clear()
        try:
            known = self._runtime.questions
        except Refusal as refusal:
            self._refuse(refusal)
            return
        with self._gate.working():
            before, self._view = self._view, known.view
            self._take(_other_keys(before, self._view))
            self._tell(known.lsdb_version)

    async def _look(self) -> None:
        """At all of it, by turns; what changes meanwhile is noted anew."""
        self._noted.clear()
        try:
            known = self._runtime.questions
            keys = iter({**dict.fromkeys(keys_of(known.view)), **dict.fromkeys(self._pictures)})
            while some := list(islice(keys, _AT_ONCE)):
                if not self._coming:
                    await self._gate.enter(self._is_urgent)
                if self._view_noted.is_set():
                    self._look_at_view()
                with self._gate.working():
                    self._take(some)
                # The next turn is for others.
                await asyncio.sleep(0)
        except Refusal as refusal:
            self._refuse(refusal)
        except BaseException:
            # Whoever watched has gone in the middle of it.
            self._noted.set()
            raise
        else:
            self._tell(self._runtime.questions.lsdb_version)
            self._looked_at_s = asyncio.get_running_loop().time()

    def _take(self, keys: Iterable[Key]) -> None:
        """Show of each what it is, if that is not what was shown before."""
        for key, picture in self._runtime.look(partial(pictures, keys=keys)):
            before = self._pictures.get(key)
            if before == picture:
                continue
            if picture is None:
                del self._pictures[key]
            else:
                self._pictures[key] = picture
            for viewer in self._viewers:
                viewer.see(key, before, picture)

    def _tell(self, lsdb_version: int) -> None:
        self._refusal = None
        self._lsdb_version = lsdb_version
        for viewer in self._viewers:
            viewer.told(lsdb_version)

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        for viewer in self._viewers:
            viewer.refuse(refusal)


def _other_keys(before: GridView, now: GridView) -> list[Key]:
    """Routers and links that are other objects than before, which all are that changed; and links at such routers."""
    routers = _others(before.routers, now.routers)
    links = _others(before.links, now.links)
    if routers:
        links |= {key for key, link in now.links.items() if {link.a, link.b} & routers}
    return [*((Kind.ROUTER, each) for each in routers), *((Kind.LINK, each) for each in links)]


def _others(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    if before is now:
        return set()
    return {key for key, value in now.items() if before.get(key) is not value} | (
        before.keys() - now.keys()
    )
