"""Which standbys no longer fit, where more is reserved though nobody was admitted (one was promoted), or less may be.

Each hop's need is worked out anew, in order of admission, beside what carries and what the standbys before it would
take under the worst failure; it must not be more than was reserved for it. Standbys that would keep others from what
they were promised go, the least urgent and youngest first, and those that are in use for the same failure last: under
that failure alone all of them fit, and whoever lost its standby then would be in the dark until it is rerouted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.core.admission.route_finder import LEDGER_TOLERANCE
from controller.core.circuits.failures import Failure
from controller.core.circuits.generation import RETIRING_PHASES, Generation, Role
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, link_direction, source, through
from controller.core.circuits.route import Route
from controller.core.network.view import GridView
from digitalgrid.model import CircuitGeneration
from digitalgrid.physics import added_line_loss_w

_SLACK = 1.0 + LEDGER_TOLERANCE


@dataclass(slots=True)
class _Claim:
    """What one generation takes of a resource (A or W), also while it only fills its buffers; on a line also what it
    was promised for its losses there.
    """

    generation: Generation
    amount: float
    trickle: float = 0.0
    # Its circuit may be served by it by now.
    in_use: bool = False
    received_w: float = 0.0
    sent_w: float = 0.0
    resistance_ohm: float = 0.0

    @property
    def gives_way(self) -> bool:
        return self.generation.role is Role.STANDBY

    @property
    def covers(self) -> frozenset[Failure]:
        """Failures under which it shares its room; none where it has its own."""
        return self.generation.covers or frozenset()


class _Claims:
    """Claims on one resource, in the order of their admission, but for those that go."""

    def __init__(self, claims: Iterable[_Claim], *, shares_with_own: bool = False) -> None:
        self.claims = sorted(claims, key=lambda each: each.generation.admission_seq)
        # Of a source or converter a circuit takes no more than its largest generation.
        self._shares_with_own = shares_with_own
        self._begin()

    def _begin(self) -> None:
        self.firm: defaultdict[int, float] = defaultdict(float)
        self._firmly: defaultdict[int, list[_Claim]] = defaultdict(list)
        self.needed: defaultdict[Failure, float] = defaultdict(float)
        # What of it one circuit needs, whose sink selects one of its standbys.
        self.of_circuit: dict[tuple[Failure, int], float] = {}

    def add(self, claim: _Claim) -> None:
        circuit_id = claim.generation.key.circuit_id
        if claim.generation.shares:
            own = self.firm[circuit_id] if self._shares_with_own else 0.0
            besides = max(0.0, claim.amount - own, claim.trickle)
            for each in claim.covers:
                counted = self.of_circuit.get((each, circuit_id), 0.0)
                if besides > counted:
                    self.needed[each] += besides - counted
                    self.of_circuit[each, circuit_id] = besides
        else:
            self._firmly[circuit_id].append(claim)
            self.firm[circuit_id] = _together(self._firmly[circuit_id])

    def total(self) -> float:
        return sum(self.firm.values()) + max(self.needed.values(), default=0.0)

    def leave_out(self, goes: set[CircuitGeneration]) -> None:
        """Add up anew, firm claims first."""
        self.claims = [each for each in self.claims if each.generation.key not in goes]
        self._begin()
        for claim in sorted(self.claims, key=lambda each: each.generation.shares):
            self.add(claim)

    def candidates(self) -> list[_Claim]:
        """Standbys of which the total would be less without: those with their own room, and the worst failure's."""
        # Of equal ones the last by name: which comes first among them is the chance of one process.
        worst = max(self.needed, key=lambda each: (self.needed[each], each), default=None)
        return [
            each
            for each in self.claims
            if each.gives_way and (not each.generation.shares or worst in each.covers)
        ]


def _together(claims: list[_Claim]) -> float:
    """What generations of one circuit take: the largest, or one that fills its buffers beside the largest other."""
    most = max(each.amount for each in claims)
    for claim in claims if len(claims) > 1 else ():
        others = max(each.amount for each in claims if each is not claim)
        most = max(most, others + claim.trickle)
    return most


class StandbyFit:
    """``find`` knows a generation by its name."""

    def __init__(
        self,
        reservations: Reservations,
        view: Callable[[], GridView],
        find: Callable[[CircuitGeneration], Generation | None],
    ) -> None:
        self._reservations = reservations
        self._view = view
        self._find = find

    def misfits(
        self, route: Route, in_use: Callable[[Generation], bool], *, at_source: bool = False
    ) -> set[CircuitGeneration]:
        """Standbys that do not fit any more on the lines and converters that a route uses, or at its source.

        ``in_use``: whether a standby may be what serves its circuit by now.
        """
        goes: set[CircuitGeneration] = set()
        view, in_use = self._view(), _asked_once(in_use)
        for hop in route.links:
            if (link := view.links.get(hop.link_id)) is not None:
                both = [
                    self._on_line(link_direction(hop.link_id, end), in_use)
                    for end in (link.a, link.b)
                ]
                for claims in both:
                    _let_go_for_losses(claims, goes)
                _let_go(both, link.ampacity_a, goes)
        for router_id in route.router_ids:
            router = view.routers.get(router_id)
            if router is not None and (most_w := router.profile.max_through_w) is not None:
                _let_go([self._at(through(router_id), in_use)], most_w, goes)
        if at_source and (found := view.sources.get(route.source_id)) is not None:
            _let_go([self._at(source(route.source_id), in_use)], found[1].max_power_w, goes)
        return goes

    def _standing(self, resource: Resource) -> Iterable[tuple[Generation, float, float]]:
        """All that count: standbys that are on their way out do not."""
        for key, amount in self._reservations.held_of(resource).items():
            generation = self._find(key)
            if generation is not None and not (
                generation.role is Role.STANDBY and generation.phase in RETIRING_PHASES
            ):
                yield generation, amount, self._reservations.trickle_of(resource, key)

    def _on_line(self, way: Resource, in_use: Callable[[Generation], bool]) -> _Claims:
        claims = []
        for generation, amount, trickle in self._standing(way):
            for link in generation.route.links:
                if (link.link_id, link.from_router_id) == (way.id, way.from_router_id):
                    losses = link.received_w, link.sent_w, link.resistance_ohm
                    used = in_use(generation)
                    claims.append(_Claim(generation, amount, trickle, used, *losses))
        return _Claims(claims)

    def _at(self, resource: Resource, in_use: Callable[[Generation], bool]) -> _Claims:
        claims = (
            _Claim(each, amount, trickle, in_use(each))
            for each, amount, trickle in self._standing(resource)
        )
        return _Claims(claims, shares_with_own=True)


def _asked_once(in_use: Callable[[Generation], bool]) -> Callable[[Generation], bool]:
    """The same, that is asked once about each generation, on however many hops it holds."""
    known: dict[CircuitGeneration, bool] = {}

    def asked(generation: Generation) -> bool:
        if generation.key not in known:
            known[generation.key] = in_use(generation)
        return known[generation.key]

    return asked


def _let_go_for_losses(claims: _Claims, goes: set[CircuitGeneration]) -> None:
    """Those without which nobody needs more than was reserved for it."""
    claims.leave_out(goes)
    while (gone := _first_short(claims)) is not None:
        goes.add(gone.generation.key)
        claims.leave_out(goes)


def _first_short(claims: _Claims) -> _Claim | None:
    """Who is to go for the first, in order, that needs more than was reserved: itself, or a standby before it."""
    before = _Claims(())
    for claim in claims.claims:
        if _is_short(before, claim):
            gone = _gone_for(before, claim)
            if gone is not None:
                return gone
        before.claims.append(claim)
        before.add(claim)
    return None


def _is_short(before: _Claims, claim: _Claim) -> bool:
    """Whether it needs more for its losses beside those before it than was reserved for them."""
    own = before.firm.get(claim.generation.key.circuit_id, 0.0)
    worst = _worst_beside(before, claim)
    load = sum(before.firm.values()) - own
    load += _of_others(before, claim, worst) if worst is not None else 0.0
    need_w = claim.received_w + added_line_loss_w(claim.resistance_ohm, load, claim.amount)
    return need_w > claim.sent_w * _SLACK


def _worst_beside(before: _Claims, claim: _Claim) -> Failure | None:
    """The failure under which a claim has the most of others beside it."""
    shares = claim.generation.shares
    among = before.needed.keys() & claim.covers if shares else before.needed
    return max(among, key=lambda each: (_of_others(before, claim, each), each), default=None)


def _of_others(before: _Claims, claim: _Claim, failure: Failure) -> float:
    needed = before.needed[failure]
    if not claim.generation.shares:
        return needed
    return needed - before.of_circuit.get((failure, claim.generation.key.circuit_id), 0.0)


def _gone_for(before: _Claims, claim: _Claim) -> _Claim | None:
    """Who goes where a claim is short: a standby itself, or for one that is in use whoever before it is not."""
    if not claim.gives_way:
        before.leave_out(set())
        return min(before.candidates(), key=_firmness, default=None)
    if not claim.in_use:
        return claim
    idle = [each for each in before.claims if each.gives_way and not each.in_use]
    rest = _Claims(before.claims)
    rest.leave_out({each.generation.key for each in idle})
    if _is_short(rest, claim):
        return claim
    worst = _worst_beside(before, claim)
    beside = [each for each in idle if not each.generation.shares or worst in each.covers]
    return min(beside, key=_firmness)


def _let_go(sides: list[_Claims], limit: float, goes: set[CircuitGeneration]) -> None:
    """Those without which no more is reserved on both directions together than may be."""
    for claims in sides:
        claims.leave_out(goes)
    while sum(each.total() for each in sides) > limit * _SLACK:
        candidates = [claim for each in sides for claim in each.candidates()]
        if not candidates:
            return
        goes.add(min(candidates, key=_firmness).generation.key)
        for claims in sides:
            claims.leave_out(goes)


def _firmness(claim: _Claim) -> tuple[bool, int, int]:
    """Who goes first: those that only stand by, of these the least urgent, then who came last."""
    return claim.in_use, claim.generation.priority, -claim.generation.admission_seq
