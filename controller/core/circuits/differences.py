"""Compares what a router runs with what it should run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import COMMITTED_PHASES, Generation, Phase
from controller.core.messages import CircuitTable
from digitalgrid.model import CircuitGeneration, HopSnapshot

# Of what is in one of these phases a router holds its hop, or must not any more.
_JUDGED = COMMITTED_PHASES | {Phase.WITHDRAWING}
# Of a hop: what routers of earlier versions do not know.
_LATER = ("priority", "floor_w", "asked_w")


class PoolContrast(NamedTuple):
    """A pool of another size than the shared standbys on a link need."""

    link_id: str
    has_w: float
    needed_w: float


@dataclass(slots=True)
class Differences:
    """``confirmed`` and ``absent`` are as they should be; ``under_way`` is being changed, and judged once that is done;
    the others need repair.

    ``lingering`` is being withdrawn, and still there; ``excess`` is nothing that this controller knows.
    ``contrasts`` says of each that is different what differs; of ``other_role`` nothing does but the role.
    """

    confirmed: list[Generation]
    absent: list[Generation]
    missing: list[Generation]
    different: list[Generation]
    lingering: list[Generation]
    excess: list[CircuitGeneration]
    other_role: list[Generation] = field(default_factory=list)
    contrasts: dict[CircuitGeneration, str] = field(default_factory=dict)
    pools: list[PoolContrast] = field(default_factory=list)
    under_way: list[CircuitGeneration] = field(default_factory=list)
    # Links whose pools are being changed.
    pools_under_way: list[str] = field(default_factory=list)

    @property
    def none(self) -> bool:
        repaired = (self.missing, self.different, self.lingering, self.excess, self.other_role)
        return not any(repaired) and not self.pools

    def counts(self) -> dict[str, int]:
        """Of what needed repair, by kind."""
        counts = {
            "missing": len(self.missing),
            "different": len(self.different),
            "lingering": len(self.lingering),
            "excess": len(self.excess),
            "with another role": len(self.other_role),
            "pools of another size": len(self.pools),
        }
        return {kind: number for kind, number in counts.items() if number}

    def summary(self) -> str:
        """For the log."""
        return ", ".join(f"{number} {kind}" for kind, number in self.counts().items())


def compare(
    router_id: str,
    circuits: Iterable[Circuit],
    table: CircuitTable,
    is_told: Callable[[CircuitGeneration], bool],
) -> Differences:
    """``is_told`` says of which generations the router was told since it was asked for its table, or is about to be."""
    # Plain pairs are found by the keys that they are equal to, and are made in a third of the time.
    held: Mapping[tuple[int, int], HopSnapshot] = {
        (hop.circuit_id, hop.generation): hop for hop in table.hops
    }
    result = Differences([], [], [], [], [], [])
    known: set[CircuitGeneration] = set()
    for circuit in circuits:
        for generation in circuit.generations.values():
            if router_id not in generation.route.router_ids or router_id in generation.freed:
                # What it held and let go of, it must not hold again.
                continue
            if circuit.is_held:
                # Its routers are to know nothing of it.
                continue
            known.add(generation.key)
            if is_told(generation.key) or _is_changing(router_id, generation):
                result.under_way.append(generation.key)
            else:
                _compare_hop(router_id, generation, held.get(generation.key), result)
    for pair in held:
        if pair not in known:
            key = CircuitGeneration(*pair)
            (result.under_way if is_told(key) else result.excess).append(key)
    return result


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
