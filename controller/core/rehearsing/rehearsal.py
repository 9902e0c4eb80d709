"""Rehearsal (what-if): a copy of the core is led through a cut, the loss of a source or a drain.

Its routers do at once what they are told. What becomes of circuits is so decided by the code that would really do it,
and changes nothing. Pure, and for the worker process: the copy is made of what would be stored and of what routers
advertise.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Generation, Role
from controller.core.circuits.route import Route
from controller.core.controller import Controller
from controller.core.effects import CircuitChanged, Persist, RoomWanted, Send
from controller.core.messages import (
    CircuitStatus,
    CircuitTable,
    Drain,
    ToRouter,
)
from controller.core.network.admin import AdminState, DrainOrder, Hindrance
from controller.core.network.view import GridView
from controller.core.promises.hindrances import Hindrances
from controller.core.promises.pacing import urgency
from controller.core.rehearsing.prompt_router import PromptRouter
from controller.core.rehearsing.scenario import (
    Consequence,
    Consequences,
    Outcome,
    Scenario,
    Situation,
)
from controller.core.settings import CoreSettings
from controller.routing.assignments.room import make_room
from digitalgrid.capabilities import Capability
from digitalgrid.model import (
    CircuitGeneration,
    FlowState,
    SwitchCause,
)
from digitalgrid.units import NS_PER_S

# How far (ns) the copy is led after the change: moves that make room for others, and drains in many turns, take some.
_HORIZON_NS = 60 * NS_PER_S
# At rest for so long (ns), it is over: who waits has been searched for, and moves that make room were asked for.
_REST_NS = 5 * NS_PER_S
# In place of a periodic read-back, which finds nothing here.
_NEVER_NS = 1 << 62


def rehearse(situation: Situation, scenario: Scenario) -> Consequences:
    """What the scenario would lead to."""
    stage = _Stage(situation)
    stage.begin(situation)
    before = {each.circuit_id: _carried(each) for each in stage.circuits()}
    stage.cut(frozenset(scenario.cut_ids))
    for id_ in scenario.drain_ids:
        stage.drain(id_, curtail=scenario.curtail)
    stage.run()
    return Consequences(tuple(stage.consequences(before, scenario)), len(before))


def _carried(circuit: Circuit) -> Generation | None:
    return circuit.carrying()


class _Stage:
    """The copy, its routers and its time."""

    def __init__(self, situation: Situation) -> None:
        self._now_ns = NS_PER_S
        settings = CoreSettings(reconcile_interval_ns=_NEVER_NS, lsa_max_age_ns=_NEVER_NS)
        self._core = Controller(situation.stored, settings, self._now_ns)
        self._lsas = {each.router_id: each for each in situation.lsas}
        self._routers = {each: PromptRouter() for each in self._lsas}
        self._gone: frozenset[str] = frozenset()
        # What sinks have said last, and what they have selected in place of what they had.
        self._said: dict[CircuitGeneration, FlowState] = {}
        self._selected: dict[int, CircuitGeneration] = {}
        self._draining: set[CircuitGeneration] = set()
        self._dirty: set[int] = set()
        self.switched: set[int] = set()
        # Circuits in the order in which something was decided of them.
        self.order: dict[int, None] = {}

    def circuits(self) -> list[Circuit]:
        return [each for each in self._core.questions.standing if each.admin_up]

    def begin(self, situation: Situation) -> None:
        """All routers that have a session begin one, and hold what they should."""
        for circuit in self._core.questions.standing:
            self._dirty.add(circuit.circuit_id)
            for generation in circuit.generations.values():
                for router_id, hop in generation.hops().items():
                    if router_id in self._routers and router_id not in generation.freed:
                        self._routers[router_id].held[generation.key] = hop
        for router_id, lsa in self._lsas.items():
            known = situation.capabilities.get(router_id, frozenset[Capability]())
            self._core.on_connected(router_id, self._tick(), b"", known)
            self._core.on_lsa(lsa, self._tick())
        for router_id in self._lsas:
            self._core.on_sync_done(router_id, self._tick())
        self._pump()
        self.order.clear()

    # What happens

    def cut(self, ids: frozenset[str]) -> None:
        """Links, routers and sources are lost in one instant."""
        if not ids:
            return
        self._gone = ids
        self._dirty |= {each.circuit_id for each in self._core.questions.standing}
        for router_id, lsa in self._lsas.items():
            links = tuple(
                replace(each, up=each.up and not ids & {each.link_id, each.neighbor_id, router_id})
                for each in lsa.links
            )
            sources = tuple(each for each in lsa.sources if each.source_id not in ids)
            self._lsas[router_id] = replace(lsa, seq=lsa.seq + 1, links=links, sources=sources)
        # Sinks notice by themselves, and in the same moment.
        self._report()
        for router_id, lsa in self._lsas.items():
            if router_id in ids:
                self._core.on_disconnected(router_id, self._tick())
            else:
                self._core.on_lsa(lsa, self._tick())
        self._pump()

    def drain(self, id_: str, *, curtail: bool) -> None:
        """Kept, so that all who are in the way are named."""
        self._core.drain(DrainOrder(id_, give_up_after_ns=0, curtail=curtail), self._tick())
        self._pump()

    def run(self) -> None:
        """Until nothing has been decided for a while, or long enough."""
        end_ns, rested_ns, decided = self._now_ns + _HORIZON_NS, self._now_ns, len(self.order)
        while self._now_ns < end_ns and self._now_ns - rested_ns < _REST_NS:
            deadline_ns = self._core.next_deadline_ns()
            if deadline_ns is None:
                return
            self._now_ns = max(self._now_ns, min(deadline_ns, end_ns))
            if deadline_ns <= end_ns:
                self._core.on_timer(self._tick())
                self._pump()
            if len(self.order) != decided or self._is_restless():
                rested_ns, decided = self._now_ns, len(self.order)

    def _is_restless(self) -> bool:
        known = self._core.questions
        return any(
            block.why is Hindrance.UNDER_WAY
            for id_, word in known.drains.items()
            if word.state is AdminState.DRAINING
            for block in known.drain_blocks(id_)
        )

    # Messages

    def _tick(self) -> int:
        self._now_ns += 1
        return self._now_ns

    def _pump(self) -> None:
        """Carry out what follows, and what follows from that; time stands still."""
        self._report()
        while effects := self._core.take_effects():
            for effect in effects:
                if isinstance(effect, Persist):
                    self._core.on_durable(effect.ticket, self._tick())
                elif isinstance(effect, Send):
                    self._deliver(effect.router_id, effect.message)
                elif isinstance(effect, RoomWanted):
                    self._make_room()
                elif isinstance(effect, CircuitChanged):
                    self._dirty.add(effect.circuit_id)
                    self.order.setdefault(effect.circuit_id)
            self._report()

    def _deliver(self, router_id: str, message: ToRouter) -> None:
        router = self._routers.get(router_id)
        if router is None or router_id in self._gone:
            return
        answer, concerned = router.apply(message)
        self._dirty |= concerned
        if isinstance(message, Drain):
            self._draining.update(message.circuits)
        if isinstance(answer, CircuitTable):
            self._core.on_table(router_id, answer, self._tick())
        else:
            self._core.on_result(router_id, answer, self._tick())

    def _make_room(self) -> None:
        question = self._core.ask_room(self._tick())
        if question is not None:
            plan = make_room(question.graph, question.circuits, question.wanted)
            self._core.make_room(question, plan, self._tick())

    # Sinks

    def _report(self) -> None:
        known = self._core.questions.circuits
        dirty, self._dirty = [known[each] for each in self._dirty if each in known], set()
        # Pools let the most urgent through, where more has failed than they are for.
        for circuit in sorted(dirty, key=urgency):
            for status in list(self._statuses(circuit)):
                generation = circuit.generations.get(status.key.generation)
                if generation is None:
                    continue
                router_id = generation.route.sink_router_id
                self._core.on_status(router_id, status, self._tick())
                if status.state is FlowState.SWITCHED and generation.role is Role.WORKING:
                    # Others had no room any more for what their sinks selected.
                    self.switched.add(circuit.circuit_id)

    def _statuses(self, circuit: Circuit) -> Iterator[CircuitStatus]:
        """What the sink says that it has not said: a drained path, power or its want, standbys and a switch to one."""
        generations = sorted(circuit.generations.values(), key=lambda each: each.key)
        complete = {each.key for each in generations if self._is_complete(each)}
        for generation in generations:
            if generation.key in self._draining:
                self._draining.discard(generation.key)
                yield CircuitStatus(generation.key, FlowState.DRAINED)
        selected = self._selected.get(circuit.circuit_id)
        working = [
            each.key
            for each in generations
            if each.role is Role.WORKING or each.key == selected
            if each.key in self._said or each.key in complete
        ]
        standbys = [
            each.key for each in generations if each.role is Role.STANDBY and each.key != selected
        ]
        lost = [key for key in working if self._said.get(key) is FlowState.ACTUATED]
        ready = [key for key in standbys if self._said.get(key) is FlowState.CHARGED]
        if lost and not complete.intersection(working) and complete.intersection(ready):
            key = max(complete.intersection(ready))
            self._selected[circuit.circuit_id] = key
            standbys.remove(key)
            working.append(key)
            yield CircuitStatus(key, FlowState.SWITCHED, switch_cause=SwitchCause.GRANT_LOST)
        for key in working:
            if key in complete:
                yield from self._say(key, FlowState.ACTUATED)
            elif key in self._said:
                yield from self._say(key, FlowState.STARVED)
        for key in standbys:
            if key in complete:
                yield from self._say(key, FlowState.CHARGED)
            elif key in self._said:
                yield from self._say(key, FlowState.DISCHARGED)

    def _say(self, key: CircuitGeneration, state: FlowState) -> Iterator[CircuitStatus]:
        if self._said.get(key) is not state:
            self._said[key] = state
            yield CircuitStatus(key, state)

    def _is_complete(self, generation: Generation) -> bool:
        """Whether power comes all the way: every hop is held, as far as is known, and nothing on it is gone."""
        route = generation.route
        gone = self._gone
        if gone and not gone.isdisjoint(
            (route.source_id, *route.router_ids, *(each.link_id for each in route.links))
        ):
            return False
        return all(
            generation.key in self._routers[router_id].held
            for router_id in route.router_ids
            if router_id in self._routers
        )

    # What became of circuits

    def consequences(
        self, before: Mapping[int, Generation | None], scenario: Scenario
    ) -> Iterator[Consequence]:
        known = self._core.questions
        stays = {
            block.circuit_id: block.text
            for id_ in scenario.drain_ids
            for block in known.drain_blocks(id_)
            if block.why is not Hindrance.UNDER_WAY
        }
        hindrances = Hindrances(known.view)
        for circuit_id in self.order | dict.fromkeys(stays):
            circuit, was = known.circuits.get(circuit_id), before.get(circuit_id)
            if circuit is None or circuit_id not in before:
                continue
            found = self._consequence(circuit, was, stays.get(circuit_id, ""), hindrances)
            if found is not None:
                yield found

    def _consequence(
        self, circuit: Circuit, was: Generation | None, stays: str, hindrances: Hindrances
    ) -> Consequence | None:
        """None for a circuit that is as it was."""
        old, carrying = was.route if was is not None else None, circuit.carrying()
        new = carrying.route if carrying is not None else None
        if circuit.state is CircuitState.WAITING:
            if old is None:
                return None
            lasting = self._lasting(circuit, old, hindrances)
            outcome = Outcome.LOSES if lasting else Outcome.WAITS
            return self._told(circuit, outcome, old, None, lasting or circuit.reason)
        if circuit.circuit_id in self.switched:
            return self._told(circuit, Outcome.SWITCHES, old, new, "")
        if stays:
            return self._told(circuit, Outcome.STAYS, old, new, stays)
        if new is not None and (old is None or new.links != old.links):
            text = str(circuit.curtailed) if circuit.curtailed is not None else ""
            return self._told(circuit, Outcome.MOVES, old, new, text)
        return None

    def _lasting(self, circuit: Circuit, old: Route, hindrances: Hindrances) -> str:
        """Why there is no way at all, however little were reserved; empty where there is one."""
        if self._gone & {old.sink_router_id}:
            return f"its load {circuit.sink_id!r} is at {old.sink_router_id}"
        if not _sources_left(circuit, self._core.questions.view, self._gone):
            return "none of the sources that it may have is left"
        block = hindrances.lasting(circuit, old)
        return block.text if block is not None else ""

    def _told(
        self, circuit: Circuit, outcome: Outcome, old: Route | None, new: Route | None, text: str
    ) -> Consequence:
        power_w = circuit.power_w
        return Consequence(circuit.circuit_id, circuit.sink_id, power_w, outcome, old, new, text)


def _sources_left(circuit: Circuit, view: GridView, gone: Iterable[str]) -> bool:
    lost = set(gone)
    return any(
        view.sources[each][0] not in lost
        for each in circuit.source_ids or view.sources
        if each in view.sources
    )
