"""The story of protected circuits: what fails under all of them, with a controller and without; what they lack."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial

from digitalgrid.client import AsyncPowerClient, power_request
from digitalgrid.client.differences import count_differences
from digitalgrid.units import format_power
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.demo.observer import Observer
from topologies.demo.pairs import Pairs
from topologies.demo.protect_figures import (
    CARRIER,
    MOVE,
    READY_WITHIN_S,
    SILENCE,
    Limit,
    ProtectFigures,
    Trial,
    shown,
)
from topologies.demo.stage import PATIENCE_S, Stage
from topologies.emulator.emulation import Emulation

# All together they load a line so little that each takes the same, shortest way.
_POWER_W = 10e3
_SINK_ID = "load5"
# Without a controller, until it is started again: much longer than a silent line takes to be noticed.
_AWAY_S = 2.0
# How often (s) routers are compared with what the controller takes them to run, while orders are on their way.
_ASK_AGAIN_S = 0.25
_PROTECTION_PATIENCE_S = 3 * READY_WITHIN_S
# From one look to the next at whether there are two paths at all.
_LOOK_S = 1.0
# Circuits whose power is changed, one after another: each is a planned move.
_MOVED_CIRCUITS = 10
# A line cut, a line silent, a router on the way lost, and the source's.
FAULTS = ("line cut", "line silent", "router killed", "source lost")
Break = Callable[[str], None]
# Of its power, and back: little enough to fit wherever it was.
_MOVED_TO = 0.95


class ProtectStory(Stage):
    def __init__(
        self,
        emulation: Emulation,
        client: AsyncPowerClient,
        observer: Observer,
        figures: ProtectFigures,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(emulation, client, observer, say)
        self._figures = figures
        self._ids: set[int] = set()
        self._protect = ""

    async def request(self, circuits: int, protect: str) -> None:
        """From whichever source is nearer; the other may serve the standby."""
        self._protect = protect
        total = format_power(circuits * _POWER_W)
        self._say(f"requesting {circuits} circuits, {total} in all, protected against a {protect}")
        began_s = time.monotonic()
        requests = [power_request(_SINK_ID, _POWER_W) for _ in range(circuits)]
        for each in requests:
            each.protect = pb.Protect.Value(f"PROTECT_{protect.upper()}")
        answer = await self._client.batch_request_power(requests)
        self._ids = {each.circuit_id for one in answer.outcomes for each in one.circuits}
        self._figures.circuits = len(self._ids)
        if await self._protected_within(_PROTECTION_PATIENCE_S) is not None:
            took_s = time.monotonic() - began_s
            self._say(f"  protected after {took_s:.1f} s")
            if self._figures.protected_after_s is None:
                self._figures.protected_after_s = took_s

    async def _make_anew(self) -> None:
        """Circuits that have all come to one source have no standby from elsewhere, until they are asked for again."""
        self._say("making all circuits anew: none has a standby that does without what is to fail")
        circuits = len(self._ids)
        await self._release(self._ids)
        await self.request(circuits, self._protect)

    async def break_all(self, faults: Collection[str], *, controlled: bool) -> None:
        """Those of FAULTS that are wanted, each mended before the next."""
        emulation = self._emulation
        trials: dict[str, tuple[Limit, Callable[[pb.Circuit], Iterable[str]], Break]] = {
            "line cut": (CARRIER, _link_ids, emulation.cut),
            "line silent": (SILENCE, _link_ids, emulation.silence),
            "router killed": (SILENCE, lambda each: each.router_ids[1:-1], emulation.kill_router),
            "source lost": (SILENCE, lambda each: each.router_ids[:1], emulation.kill_router),
        }
        for what in FAULTS:
            if what in faults:
                limit, ids_of, break_it = trials[what]
                id_, guarded = self._best_guarded(ids_of)
                if not guarded:
                    await self._make_anew()
                    id_, _ = self._best_guarded(ids_of)
                await self._try(what, limit, controlled, id_, break_it)

    def _best_guarded(self, ids_of: Callable[[pb.Circuit], Iterable[str]]) -> tuple[str, int]:
        """What most circuits use that have a standby without it, and how many these are; then what most use at all."""
        uses, guarded = Counter[str](), Counter[str]()
        for circuit in (self._observer.circuits[key] for key in self._ids):
            ids = set(ids_of(circuit))
            uses.update(ids)
            guarded.update(id_ for id_ in ids if _outlives(circuit, id_))
        best = max(sorted(uses), key=lambda id_: (guarded[id_], uses[id_]))
        return best, guarded[best]

    async def _try(
        self, what: str, limit: Limit, controlled: bool, id_: str, break_it: Break
    ) -> None:
        trial = Trial(what, limit, controlled)
        self._figures.trials.append(trial)
        hit = {key for key in self._ids if _uses(self._observer.circuits[key], id_)}
        self._say(
            f"{what}: {id_}, under {len(hit)} circuits"
            + ("" if controlled else ", while no controller runs")
        )
        guarded = {key for key in hit if _outlives(self._observer.circuits[key], id_)}
        before = await self._lacking(hit)
        if not controlled:
            self._emulation.kill_controller()
        broken_s = time.monotonic()
        break_it(id_)
        if not controlled:
            await self._return_of_the_controller()
        circuits = self._observer.circuits

        def carried() -> bool:
            return self._observer.all_active(hit) and not any(
                _uses(circuits[key], id_) for key in hit
            )

        await self._observer.until(carried, PATIENCE_S, f"circuits carried around {id_}")
        lacking = await self._lacking_no_more(hit)
        for key in hit:
            lacked = trial.missing_ms if key in guarded else trial.unguarded_ms
            lacked.append(lacking.since(before, key, circuits[key].power_w))
        self._say(f"  of {len(guarded)} with a standby without it: {shown(trial.missing_ms)}")
        if not controlled:
            await self._compare()
        await self._note_ready(trial, broken_s)
        await self._mend(id_)

    async def _note_ready(self, trial: Trial, since_s: float) -> None:
        """When all are protected again, but for those that cannot be."""
        left_s = READY_WITHIN_S - (time.monotonic() - since_s)
        without_pair = await self._protected_within(left_s)
        if without_pair is not None:
            trial.ready_s = time.monotonic() - since_s
            trial.without_pair = without_pair

    async def _return_of_the_controller(self) -> None:
        await asyncio.sleep(_AWAY_S)
        snapshots = self._observer.snapshots
        self._emulation.restart_controller()
        await self._observer.until(
            lambda: self._observer.snapshots > snapshots, PATIENCE_S, "the controller is back"
        )

    async def _compare(self) -> None:
        """What the controller that has returned takes routers to run otherwise than they do, until it has told them all
        that it wants.
        """
        deadline_s = time.monotonic() + READY_WITHIN_S
        differences, under_way = await self._look_at_tables()
        self._figures.under_way_at_first.append(under_way)
        while under_way and time.monotonic() < deadline_s:
            await asyncio.sleep(_ASK_AGAIN_S)
            found, under_way = await self._look_at_tables()
            differences = max(differences, found)
        self._figures.differences.append(differences)
        self._figures.under_way.append(under_way)

    async def _look_at_tables(self) -> tuple[int, int]:
        """Differences, and what is being changed."""
        answer = await self._client.reconcile(pb.ReconcileRequest(dry_run=True))
        differences = sum(count_differences(each) for each in answer.routers)
        return differences, sum(each.under_way for each in answer.routers)

    async def _mend(self, id_: str) -> None:
        if id_ in {link.id for link in self._grid.links}:
            self._emulation.restore(id_)
            self._emulation.heal(id_)
        else:
            self._emulation.restart_router(id_)
        await self._all_links_up()
        await self._protected_within(_PROTECTION_PATIENCE_S)

    async def _protected_within(self, timeout_s: float) -> int | None:
        """For how many the network has no two paths, once all others are protected; None where they are not in time."""
        deadline_s = time.monotonic() + timeout_s
        without_pair: set[int] = set()
        while (left_s := deadline_s - time.monotonic()) > 0.0:
            try:
                ready = partial(self._are_ready, without_pair)
                await self._observer.until(ready, min(left_s, _LOOK_S), "all protected")
            except TimeoutError:
                without_pair = await self._without_pair()
            else:
                return len(self._unready())
        for reason, count in self._unprotected().most_common(3):
            self._say(f"  {count} circuits are not protected: {reason}")
        return None

    async def _without_pair(self) -> set[int]:
        """Circuits that carry and are not protected, and for which there are no two paths now."""
        pairs = Pairs(await self._client.get_topology())
        circuits = self._observer.circuits
        return {
            key
            for key in self._unready()
            if self._observer.all_active([key]) and not pairs.has_pair(circuits[key])
        }

    def _unprotected(self) -> Counter[str]:
        """Why circuits are not protected, as the controller says."""
        known = [
            self._observer.circuits[key] for key in self._ids if key in self._observer.circuits
        ]
        return Counter(
            f"{pb.Protection.Name(each.protection)}, {each.protection_reason or each.reason}"
            for each in known
            if each.protection != pb.PROTECTION_PROTECTED
        )

    def _are_ready(self, but: set[int]) -> bool:
        return self._unready() <= but

    def _unready(self) -> set[int]:
        """Circuits that do not carry, or are not protected."""
        circuits = self._observer.circuits
        return {
            key
            for key in self._ids
            if key not in circuits
            or circuits[key].state != pb.CIRCUIT_STATE_ACTIVE
            or circuits[key].protection != pb.PROTECTION_PROTECTED
        }

    async def move(self) -> None:
        """Planned moves, with all lines up: to a little less power and back."""
        self._say(f"moving {_MOVED_CIRCUITS} circuits and back, with all lines up")
        trial = Trial("planned move", MOVE)
        self._figures.trials.append(trial)
        moved = set(sorted(self._ids)[:_MOVED_CIRCUITS])
        for power_w in (_MOVED_TO * _POWER_W, _POWER_W):
            change = partial(self._change, moved, power_w)
            trial.missing_ms += (await self._missing_in_move(change, moved)).values()
        await self._note_ready(trial, time.monotonic())

    async def _change(self, circuit_ids: Iterable[int], power_w: float) -> None:
        changes = [self._client.change_circuit(key, power_w) for key in circuit_ids]
        await asyncio.gather(*changes)

    async def release_all(self) -> None:
        self._say("releasing everything, waiting until the network is quiet")
        self._figures.circuits_lost = sum(not self._observer.all_active([key]) for key in self._ids)
        await self._release(self._ids)
        self._figures.books = await self._until_quiet()


def _outlives(circuit: pb.Circuit, id_: str) -> bool:
    """Whether it is protected by a standby that does without this link or router."""
    return circuit.protection == pb.PROTECTION_PROTECTED and not _uses(circuit.standby, id_)


def _uses(circuit: pb.Circuit | pb.Standby, id_: str) -> bool:
    return id_ in circuit.router_ids or any(link.link_id == id_ for link in circuit.links)


def _link_ids(circuit: pb.Circuit) -> Iterable[str]:
    return (link.link_id for link in circuit.links)
