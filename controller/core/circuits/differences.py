"""Compares what a router runs with what it should run, in slices: a table may be as long as the list of circuits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import COMMITTED_PHASES, Generation, Phase
from controller.core.messages import CircuitTable
from digitalgrid.model import CircuitGeneration, HopSnapshot

T = TypeVar("T")

# Of what is in one of these phases a router holds its hop, or must not any more.
_JUDGED = COMMITTED_PHASES | {Phase.WITHDRAWING}
# Circuits that one slice is about: a millisecond of the loop's time.
SLICE = 256
# Hops of a table that are indexed, or left over, in the time that one circuit takes.
_HOPS_A_CIRCUIT = 8
# Of a hop: what routers of earlier versions do not know.
_LATER = ("priority", "floor_w", "asked_w")


# What needs repair, in words.
DIFFERENCES = (
    *("missing", "different", "lingering"),
    *("excess", "with another role", "pools of another size"),
)


class PoolContrast(NamedTuple):
    """A pool of another size than the shared standbys on a link need."""

    link_id: str
    has_w: float
    needed_w: float


@dataclass(slots=True)
class Differences:
    """``confirmed`` and ``absent`` are as they should be; ``under_way`` is being changed, and judged once that is done;
    the others need repair. ``whole``: the comparison is at its end.

    ``lingering`` is being withdrawn, and still there; ``excess`` is nothing that this controller knows.
    ``contrasts`` says of each that is different what differs; of ``other_role`` nothing does but the role.
    """

    confirmed: list[Generation] = field(default_factory=list)
    absent: list[Generation] = field(default_factory=list)
    missing: list[Generation] = field(default_factory=list)
    different: list[Generation] = field(default_factory=list)
    lingering: list[Generation] = field(default_factory=list)
    excess: list[CircuitGeneration] = field(default_factory=list)
    other_role: list[Generation] = field(default_factory=list)
    contrasts: dict[CircuitGeneration, str] = field(default_factory=dict)
    pools: list[PoolContrast] = field(default_factory=list)
    under_way: list[CircuitGeneration] = field(default_factory=list)
    # Links whose pools are being changed.
    pools_under_way: list[str] = field(default_factory=list)
    whole: bool = False

    def add(self, later: "Differences") -> None:
        """What a later slice of the same comparison has found."""
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(later, each.name)
            if isinstance(mine, list):
                mine.extend(its)
        self.contrasts.update(later.contrasts)
        self.whole = later.whole

    @property
    def none(self) -> bool:
        repaired = (self.missing, self.different, self.lingering, self.excess, self.other_role)
        return not any(repaired) and not self.pools

    def counts(self) -> dict[str, int]:
        """Of what needed repair, by kind."""
        found = (
            *(len(self.missing), len(self.different), len(self.lingering)),
            *(len(self.excess), len(self.other_role), len(self.pools)),
        )
        return {kind: each for kind, each in zip(DIFFERENCES, found, strict=True) if each}

    def summary(self) -> str:
        """For the log."""
        return ", ".join(f"{number} {kind}" for kind, number in self.counts().items())


class Comparison:
    """One table, which is as old as its router's answer: what its router was told of since it was asked is under way.

    ``is_told`` says so of a generation, or that it is about to be; it is asked at the time of each slice, for others
    are heard between two of them.
    """

    def __init__(
        self,
        router_id: str,
        table: CircuitTable,
        circuit_ids: Sequence[int],
        live: Mapping[int, Circuit],
        is_told: Callable[[CircuitGeneration], bool],
    ) -> None:
        self._router_id = router_id
        self._table = table
        self._circuit_ids = circuit_ids
        self._live = live
        self._is_told = is_told
        # By plain pairs: they are equal to keys, and are made in a third of the time.
        self._held: dict[tuple[int, int], HopSnapshot] = {}
        self._steps = self._run()
        # Of all slices until now, and of the present one.
        self.found = Differences()
        self._fresh = Differences()
        # The links that the table's hops use.
        self.link_ids: set[str] = set()

    def advance(self) -> Differences:
        """What one more slice shows; the last is ``whole``."""
        self._fresh = Differences()
        done = 0
        for circuits in self._steps:
            done += circuits
            if done >= SLICE:
                break
        else:
            self._fresh.whole = True
        self.found.add(self._fresh)
        return self._fresh

    def _run(self) -> Iterator[int]:
        """Yields what each step was worth, in circuits."""
        for hops in _slices(self._table.hops):
            self._index(hops)
            yield len(hops) // _HOPS_A_CIRCUIT
        for circuit_ids in _slices(self._circuit_ids):
            for circuit_id in circuit_ids:
                if (circuit := self._live.get(circuit_id)) is not None:
                    self._look_at(circuit)
            yield len(circuit_ids)
        for left in _slices(list(self._held)):
            self._judge_left(left)
            yield len(left) // _HOPS_A_CIRCUIT

    def _index(self, hops: Sequence[HopSnapshot]) -> None:
        for hop in hops:
            self._held[hop.circuit_id, hop.generation] = hop
            self.link_ids.add(hop.ingress_link_id)
            self.link_ids.add(hop.egress_link_id)

    def _look_at(self, circuit: Circuit) -> None:
        if circuit.is_held:
            # Its routers are to know nothing of it.
            return
        router_id = self._router_id
        for generation in circuit.generations.values():
            if router_id not in generation.route.router_ids or router_id in generation.freed:
                # What it held and let go of, it must not hold again.
                continue
            hop = self._held.pop(generation.key, None)
            if self._is_told(generation.key) or _is_changing(router_id, generation):
                self._fresh.under_way.append(generation.key)
            else:
                _compare_hop(router_id, generation, hop, self._fresh)

    def _judge_left(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Hops that no circuit has."""
        for pair in pairs:
            key = CircuitGeneration(*pair)
            (self._fresh.under_way if self._is_told(key) else self._fresh.excess).append(key)


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))


def _is_changing(router_id: str, generation: Generation) -> bool:
    """Whether the router is yet to be told of it: it is staged first, or drained, or its sink's router comes last."""
    phase = generation.phase
    sink_comes_last = (
        phase is Phase.COMMITTING
        and generation.seamless
        and router_id == generation.route.sink_router_id
    )
    return sink_comes_last or phase not in _JUDGED


def _compare_hop(
    router_id: str, generation: Generation, hop: HopSnapshot | None, result: Differences
) -> None:
    if generation.phase is Phase.WITHDRAWING:
        (result.absent if hop is None else result.lingering).append(generation)
        return
    expected = generation.hop_at(router_id)
    if hop == expected:
        # As are nearly all: a table is read again and again.
        result.confirmed.append(generation)
        return
    if hop is not None:
        # A router that does not know them does not say them; it shares what is short as it always did.
        unsaid = {name: 0 for name in _LATER if not getattr(hop, name)}
        expected = replace(expected, **unsaid)
    if hop == expected:
        result.confirmed.append(generation)
    elif hop is None:
        result.missing.append(generation)
    elif hop.standby is not expected.standby and _as_role_of(hop, expected) == expected:
        if not generation.durable:
            # Its routers hear that it was promoted once that is written.
            result.under_way.append(generation.key)
            return
        result.other_role.append(generation)
        result.contrasts[generation.key] = _contrast(hop, expected)
    else:
        result.different.append(generation)
        result.contrasts[generation.key] = _contrast(hop, expected)


def _as_role_of(hop: HopSnapshot, expected: HopSnapshot) -> HopSnapshot:
    """A standby that is promoted shares no room."""
    return replace(hop, standby=expected.standby, shared_standby=expected.shared_standby)


def _contrast(hop: HopSnapshot, expected: HopSnapshot) -> str:
    """What differs, in words."""
    differing = [
        (name, getattr(hop, name), getattr(expected, name))
        for name in HopSnapshot.__struct_fields__
        if getattr(hop, name) != getattr(expected, name)
    ]
    return ", ".join(
        f"{name} is {_show(there)} instead of {_show(meant)}" for name, there, meant in differing
    )


def _show(value: object) -> str:
    return "none" if value == "" else str(value)
