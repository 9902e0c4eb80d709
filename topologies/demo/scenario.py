"""The story that the demonstration tells, step by step, and what each step measures."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from digitalgrid.client import AsyncPowerClient, power_request
from digitalgrid.units import NS_PER_MS, W_PER_MEGAWATT
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.demo.books import Powers, powers_w
from topologies.demo.figures import Figures, LoadFigure, Outages
from topologies.demo.missing import Lacking
from topologies.demo.observer import Observer
from topologies.demo.probes import probe_load_id, probe_source_id
from topologies.demo.stage import PATIENCE_S, POLL_S, Stage
from topologies.emulator.emulation import Emulation

# Over which the generation is read (s): thirty ticks.
_STEADY_WINDOW_S = 3.0
# Part by which the generation of two windows may differ: while buffers of late routers fill, windows that differ by a
# thousandth may still have a thousandth in them. That will do where it does not become less: of one tick in thirty,
# what sources draw once a tick.
_AT_REST, _STEADY = 1e-4, 1e-3
# Until all circuits stand again after a repair (s).
_REPAIR_PATIENCE_S = 10.0
# Of each request whose set-up is timed: it always fits.
_PROBE_POWER_W = 10e3
# Clients that ask side by side while set-ups are timed.
_WORKERS = 4
# What a circuit that has nothing to do with a fault may lack (ms of its power) without being called disturbed: routers
# share this machine's cores, and one that is late by more than its cushion of some milliseconds is felt.
DISTURBED_MS = 1.0
# Part of its power to which a circuit is changed, and back: any change is a move.
_MOVED_TO = 0.95

_ACTIVE = pb.CIRCUIT_STATE_ACTIVE
_WAITING = pb.CIRCUIT_STATE_WAITING


class Scenario(Stage):
    """Runs on an emulation that is healthy; ``say`` tells people what goes on."""

    def __init__(
        self,
        emulation: Emulation,
        client: AsyncPowerClient,
        observer: Observer,
        figures: Figures,
        say: Callable[[str], None],
        seed: int,
    ) -> None:
        super().__init__(emulation, client, observer, say)
        self._figures = figures
        self._random = random.Random(seed)
        self._served: list[int] = []

    async def serve_loads(self) -> None:
        """Request all loads, largest first, ties in the file's order, and read the steady figures."""
        loads = [each for each in self._grid.loads if not each.id.startswith("probe-")]
        for load in sorted(loads, key=lambda each: -each.power_w):
            self._say(f"requesting {load.power_w / W_PER_MEGAWATT:g} MW for {load.id}")
            answer = await self._client.request_power(power_request(load.id, load.power_w))
            self._served += [each.circuit_id for each in answer.circuits]
        asked_at_s = time.monotonic()
        wanted = {load.id: load.power_w for load in loads}
        await self._wait_for_power(wanted, asked_at_s)
        self._say("reading the steady figures")
        powers = await self._steady_powers()
        self._figures.loads = [
            LoadFigure(load_id, power_w, powers.delivered_w.get(load_id))
            for load_id, power_w in wanted.items()
        ]
        self._figures.generated_w = self._generated_w(powers)
        self._note_controller_times(self._served)

    async def _steady_powers(self) -> Powers:
        """Once sources fill no buffers any more, which routers do after a circuit has its power."""
        before_w: float | None = None
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            meters = await self._meters()
            await asyncio.sleep(_STEADY_WINDOW_S)
            powers = powers_w(meters, await self._meters())
            now_w, is_late = self._generated_w(powers), time.monotonic() > deadline_s
            if _is_steady(before_w, now_w, _STEADY if is_late else _AT_REST):
                return powers
            if is_late:
                raise TimeoutError(f"generation is not steady after {PATIENCE_S:g} s")
            before_w = now_w

    def _generated_w(self, powers: Powers) -> float | None:
        return powers.total_generated_w(each.id for each in self._grid.sources)

    async def _wait_for_power(self, wanted: dict[str, float], asked_at_s: float) -> None:
        """Power counts as there once every load's meter says so over a second or so."""
        readings = [await self._meters()]
        while time.monotonic() < asked_at_s + PATIENCE_S:
            await asyncio.sleep(POLL_S)
            readings = [*readings[-3:], await self._meters()]
            powers = powers_w(readings[0], readings[-1])
            measured = [
                LoadFigure(load_id, power_w, powers.delivered_w.get(load_id))
                for load_id, power_w in wanted.items()
            ]
            if len(readings) == 4 and all(each.right for each in measured):
                self._figures.served_within_s = time.monotonic() - asked_at_s
                return

    async def cut_lines(self, count: int, first_link_id: str) -> None:
        """Cut one line after the other that carries circuits; each is restored before the next."""
        for number in range(count):
            link_id = first_link_id if number == 0 else self._a_busy_line()
            self._say(f"cutting {link_id} ({number + 1} of {count})")
            await self._break_line(
                link_id,
                self._emulation.cut,
                self._emulation.restore,
                self._figures.outages["carrier"],
            )
            self._figures.cuts["carrier"] += 1

    async def silence_lines(self, count: int) -> None:
        """Lose all that a line carries, without a sign."""
        for number in range(count):
            link_id = self._a_busy_line()
            self._say(f"silencing {link_id} ({number + 1} of {count})")
            await self._break_line(
                link_id,
                self._emulation.silence,
                self._emulation.heal,
                self._figures.outages["silent"],
            )
            self._figures.cuts["silent"] += 1

    def _a_busy_line(self) -> str:
        return self._random.choice(self._busy_lines())

    def _busy_lines(self) -> list[str]:
        return [link.id for link in self._grid.links if self._observer.using(link.id, self._served)]

    async def _break_line(
        self,
        link_id: str,
        break_line: Callable[[str], None],
        mend_line: Callable[[str], None],
        outages: Outages,
    ) -> None:
        circuits = self._observer.circuits
        affected = self._observer.using(link_id, self._served)
        before = await self._lacking(self._served)
        # Routers count on this machine's monotonic clock too.
        broken_at_ns = time.monotonic_ns()
        break_line(link_id)

        def settled() -> bool:
            return all(
                circuits[key].state == _WAITING
                or (
                    circuits[key].state == _ACTIVE
                    and circuits[key].power_since_ns > broken_at_ns
                    and key not in self._observer.using(link_id, affected)
                )
                for key in affected
            )

        await self._observer.until(settled, PATIENCE_S, f"circuits rerouted around {link_id}")
        rerouted = {key for key in affected if circuits[key].state == _ACTIVE}
        lacking = await self._lacking_no_more(rerouted)
        for key in sorted(rerouted):
            packet_ms = (circuits[key].power_since_ns - broken_at_ns) / NS_PER_MS
            missing_ms = lacking.since(before, key, circuits[key].power_w)
            self._say(
                f"  circuit {key} lacked {missing_ms:.1f} ms of its power"
                f" (first packet after {packet_ms:.1f} ms)"
            )
            outages.note(missing_ms, packet_ms)
        self._figures.waited_for_repair += len(affected) - len(rerouted)
        mend_line(link_id)
        await self._all_links_up()
        await self._all_active(f"after {link_id} was mended")
        others = set(self._served) - affected
        await self._note_disturbances(others, before, f"though it does not use {link_id}")

    async def _note_disturbances(self, circuit_ids: set[int], before: Lacking, when: str) -> None:
        """These circuits must not feel what happens to others."""
        lacking = await self._lacking(circuit_ids)
        for key in sorted(circuit_ids):
            missing_ms = lacking.since(before, key, self._observer.circuits[key].power_w)
            self._figures.disturbed_ms.append(missing_ms)
            if missing_ms > DISTURBED_MS:
                self._figures.disturbances.append(
                    f"circuit {key} lacked {missing_ms:.1f} ms of its power, {when}"
                )

    async def move_circuits(self) -> None:
        """Planned moves with all lines up: to a little less power and back, away from a line, then to better paths."""
        self._say("moving every circuit, with all lines up")
        for key in self._served:
            power_w = self._observer.circuits[key].power_w
            for wanted_w in (_MOVED_TO * power_w, power_w):
                await self._move({key}, partial(self._client.change_circuit, key, wanted_w))
        await self._drain_a_line()
        answer = await self._client.reoptimise(pb.ReoptimiseRequest(dry_run=True))
        moved = {each.circuit_id for each in answer.moves} & set(self._served)
        if moved:
            await self._move(moved, self._reoptimise)

    async def _drain_a_line(self) -> None:
        """The first busy one whose circuits can all leave, as a rehearsal says; then it is in service again."""
        for link_id in self._busy_lines():
            rehearse = partial(self._client.what_if, pb.WhatIfRequest(drain_ids=[link_id]))
            found = (await self._until_answered(rehearse)).consequences
            if all_leave(found):
                self._say(f"draining {link_id}")
                moved = {each.circuit_id for each in found}
                await self._move(moved, partial(self._client.drain, pb.DrainRequest(id=link_id)))
                await self._client.wait_until_drained(link_id, timeout_s=PATIENCE_S)
                await self._client.undrain(link_id)
                self._figures.drained = link_id
                return
        self._say("no line is drained: from each there is somebody who cannot leave")

    async def _reoptimise(self) -> None:
        await self._client.reoptimise(pb.ReoptimiseRequest())

    async def _move(self, keys: set[int], begin: Callable[[], Awaitable[object]]) -> None:
        for key, missing_ms in (await self._missing_in_move(begin, keys)).items():
            self._say(f"  circuit {key} lacked {missing_ms:.1f} ms of its power")
            self._figures.outages["move"].note(missing_ms)

    async def kill_router(self, router_id: str) -> None:
        self._say(f"killing router {router_id} with -9")
        using = {
            key for key in self._served if router_id in self._observer.circuits[key].router_ids
        }
        self._emulation.kill_router(router_id)
        away = (pb.CIRCUIT_STATE_REROUTING, _WAITING, pb.CIRCUIT_STATE_DEGRADED)
        ending = {
            key
            for key in using
            if router_id in (self._observer.circuits[key].router_ids[0], self._sink_router(key))
        }
        await self._observer.until(
            lambda: not ending or bool(self._observer.states(ending) & set(away)),
            PATIENCE_S,
            f"the loss of {router_id} is noticed",
        )
        self._say(f"restarting router {router_id}")
        self._emulation.restart_router(router_id)
        await self._all_links_up()
        await self._all_active(f"after {router_id} came back")

    def _sink_router(self, circuit_id: int) -> str:
        sink_id = self._observer.circuits[circuit_id].sink_id
        return next(load.router for load in self._grid.loads if load.id == sink_id)

    async def kill_controller(self) -> None:
        self._say("killing the controller with -9")
        before = await self._meters()
        snapshots = self._observer.snapshots
        self._emulation.kill_controller()
        died_s = time.monotonic()
        self._emulation.restart_controller()
        self._say("restarting the controller")
        probes = await self._first_answers(died_s)
        # A watch that begins after they have ended would never tell of them.
        await self._observer.until(
            lambda: self._observer.snapshots > snapshots, PATIENCE_S, "the controller is back"
        )
        await self._release(probes)
        await self._all_links_up()
        await self._all_active("after the controller came back")
        after = await self._meters()
        powers = powers_w(before, after)
        for load in self._figures.loads:
            measured = LoadFigure(load.load, load.requested_w, powers.delivered_w.get(load.load))
            if not measured.right:
                self._figures.disturbances.append(f"{measured}, while the controller was away")
        served = set(self._served)
        await self._note_disturbances(served, Lacking.of(before), "while the controller was away")

    async def _first_answers(self, died_s: float) -> list[int]:
        """How long after its death the controller answered a read again, and served a request; its circuits."""
        one, other = self._random.sample([router.id for router in self._grid.routers], 2)
        await self._until_answered(self._client.get_topology)
        self._figures.read_again_s = time.monotonic() - died_s
        request = power_request(
            probe_load_id(other), _PROBE_POWER_W, source_ids=[probe_source_id(one)]
        )
        answer = await self._until_answered(partial(self._client.request_power, request))
        self._figures.admits_again_s = time.monotonic() - died_s
        return [each.circuit_id for each in answer.circuits]

    def count_lost(self) -> None:
        """Circuits that are not back although everything is repaired."""
        self._figures.circuits_lost = sum(
            self._observer.circuits[key].state != _ACTIVE for key in self._served
        )
        self._figures.undisturbed = not self._figures.disturbances

    async def cycle(self, count: int) -> None:
        """Request and release power between random routers."""
        self._say(f"{count} cycles of request and release between random routers")
        routers = [router.id for router in self._grid.routers]
        pairs = [self._random.sample(routers, 2) for _ in range(count)]

        async def work() -> None:
            while pairs:
                await self._cycle_once(*pairs.pop())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_WORKERS):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _cycle_once(self, source_router: str, sink_router: str) -> None:
        request = power_request(
            probe_load_id(sink_router),
            _PROBE_POWER_W,
            source_ids=[probe_source_id(source_router)],
        )
        asked_at_s = time.monotonic()
        answer = await self._client.request_power(request)
        ids = [each.circuit_id for each in answer.circuits]
        what = f"power from {source_router} to {sink_router}"
        await self._observer.until(lambda: self._observer.all_active(ids), PATIENCE_S, what)
        self._figures.setup_ms.append((time.monotonic() - asked_at_s) * 1e3)
        self._note_controller_times(ids)
        await self._release(ids)
        self._figures.cycles += 1

    async def release_all(self) -> None:
        self._say("releasing everything, waiting until the network is quiet")
        await self._release(self._served)
        self._figures.books = await self._until_quiet()

    async def _all_active(self, when: str) -> None:
        try:
            await self._observer.until(
                lambda: self._observer.all_active(self._served), _REPAIR_PATIENCE_S, when
            )
        except TimeoutError:
            # Counted at the end, if they are still away then.
            self._say(f"not all circuits are back {when}")

    def _note_controller_times(self, circuit_ids: list[int]) -> None:
        self._figures.controller_ms += [
            self._observer.circuits[key].timings.committed_after_ns / NS_PER_MS
            for key in circuit_ids
        ]


def all_leave(found: Collection[pb.Consequence]) -> bool:
    """Whether a drain moves all whom it concerns; where it concerns nobody, the line is not in use."""
    return bool(found) and all(each.outcome == pb.OUTCOME_MOVES for each in found)


def _is_steady(before_w: float | None, now_w: float | None, tolerance: float) -> bool:
    """Whether both were measured and are the same within a fraction."""
    if before_w is None or now_w is None:
        return False
    return abs(now_w - before_w) <= tolerance * before_w
