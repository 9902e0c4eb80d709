"""A rehearsal as values: what the copy is made of, what happens to it, and what becomes of circuits."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller.core.circuits.records import StoredState
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.core.network.view import RouterView
from controller.core.questions import Questions
from digitalgrid.capabilities import Capability
from digitalgrid.model import RouterLsa
from digitalgrid.reasons import Reason


@dataclass(frozen=True, slots=True)
class Situation:
    """What a copy of the core is made of: what is promised, and what routers with a session advertise."""

    stored: StoredState
    lsas: tuple[RouterLsa, ...]
    # What of routers is more than the least: whether they take standbys, and hold pools of them.
    capabilities: dict[str, frozenset[Capability]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens: these links, routers and sources are lost, and these links and routers drained, with or without
    leave to ``curtail`` circuits for that.
    """

    cut_ids: tuple[str, ...] = ()
    drain_ids: tuple[str, ...] = ()
    curtail: bool = False


class Outcome(StrEnum):
    SWITCHES = "switches"  # its sink selects its standby
    MOVES = "moves"
    WAITS = "waits"  # there is a way, and no room on it
    LOSES = "loses"  # there is no way at all
    STAYS = "stays"  # it cannot leave what is drained


@dataclass(frozen=True, slots=True)
class Consequence:
    """What becomes of one circuit. ``new`` is where it is carried in the end, if it is; ``text`` says why it is not."""

    circuit_id: int
    sink_id: str
    power_w: float
    outcome: Outcome
    old: Route | None
    new: Route | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Consequences:
    """Of those circuits that are concerned, in the order in which it is decided; ``circuits`` is how many stand."""

    concerned: tuple[Consequence, ...]
    circuits: int


def situation_of(known: Questions, scenario: Scenario) -> Situation:
    """What is to be copied. Raises Refusal for ids in the scenario that nobody has."""
    view = known.view
    places = view.links.keys() | view.routers.keys()
    for field, ids, there in (
        ("cut_ids", scenario.cut_ids, places | view.sources.keys()),
        ("drain_ids", scenario.drain_ids, places),
    ):
        for id_ in ids:
            if id_ not in there:
                raise Refusal(
                    Reason.UNKNOWN_ELEMENT,
                    f"nothing with the id {id_!r} is known that could be lost or drained; `dgctl topology`"
                    " shows links, routers and sources",
                    field=field,
                    metadata={"id": id_},
                )
    return Situation(
        known.stored(),
        tuple(known.advertisements()),
        {each.router_id: frozenset(_capabilities(each)) for each in view.routers.values()},
    )


def _capabilities(router: RouterView) -> Iterator[Capability]:
    if router.stands_by:
        yield Capability.STANDBY
    if router.holds_pools:
        yield Capability.POOLS
