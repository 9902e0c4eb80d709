"""Demand, which travels up a circuit, and the grant, which travels down: both for all flows of one router.

A hop accepts at most what was reserved, over all generations of a circuit together and the newer first, and asks
its upstream neighbour for that plus its own losses. No power is sent on without a demand and a grant.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from digitalgrid.physics import added_line_loss_w, received_w
from digitalgrid.sharing import Claim, rank, share_out
from digitalgrid.units import MILLIWATTS_PER_W
from router_agent.device import surplus
from router_agent.device.conversion import Conversion
from router_agent.device.flow import Flow, by_precedence
from router_agent.device.line import Line
from router_agent.device.shared_standbys import (
    Limits,
    hold_to_pools,
    hold_to_what_is_unreserved,
)
from router_agent.device.slack import RATE_SLACK_W, RELATIVE_SLACK, covers
from router_agent.device.staying import restated, unsettled


class Settlement(NamedTuple):
    """``found``: the flows whose rates were found anew, in order of admission. ``clamped``: more was wanted than the
    converter takes.
    """

    found: Sequence[Flow]
    clamped: bool = False


def settle(
    flows: Sequence[Flow],
    limits: Limits,
    conversion: Conversion,
    demand_at_loads: Callable[[Sequence[Flow]], None],
) -> Settlement:
    """Set every flow's rates from what the neighbours state. ``flows`` are in order of admission, in which losses are
    charged; where there is less than is wanted, priorities and floors decide who gives way.

    Whoever is settled and of whom nothing else is stated stays as it is, unless the current before it has changed: so a
    change costs what it changes, and a look at the others.
    """
    changed = restated(flows)
    for flow in changed:
        if flow.egress is not None:
            flow.demanded_below()
    demand_at_loads([flow for flow in changed if flow.egress is None])
    if len(changed) < len(flows):
        found = _settle_some(flows, changed, limits, conversion)
        if found is not None:
            return Settlement(found)
    return Settlement(flows, _settle_all(flows, limits, conversion))


def _settle_some(
    flows: Sequence[Flow], changed: Sequence[Flow], limits: Limits, conversion: Conversion
) -> Sequence[Flow] | None:
    """Of circuits that share nothing but room that suffices for all; None where it does not suffice."""
    _accept(changed)
    hold_to_pools(changed, limits.pool_w)
    _need_of_some(flows, conversion.efficiency)
    found = unsettled(flows)
    hold_to_what_is_unreserved(found, flows, limits, conversion)
    if not _ask_without_shortage(found, flows):
        return None
    surplus.ask(found, flows, conversion.efficiency)
    source_left_w = _grant_without_shortage(found, flows, limits.source_w)
    if source_left_w is None:
        return None
    _grant(found, flows, source_left_w, conversion.efficiency)
    return found


def _settle_all(flows: Sequence[Flow], limits: Limits, conversion: Conversion) -> bool:
    """Whether more was wanted than the converter takes."""
    for flow in flows:
        flow.settled = False
    _accept(flows)
    hold_to_pools(flows, limits.pool_w)
    _need(flows, conversion)
    hold_to_what_is_unreserved(flows, flows, limits, conversion)
    clamped = _clamp_to_converter(flows, conversion.limit_w)
    _ask(flows)
    surplus.ask(flows, flows, conversion.efficiency)
    source_left_w = _grant_at_sources(
        [flow for flow in flows if flow.ingress is None], limits.source_w
    )
    _grant(flows, flows, source_left_w, conversion.efficiency)
    return clamped


def _grant(
    found: Sequence[Flow],
    flows: Sequence[Flow],
    source_left_w: Mapping[str, float],
    efficiency: float,
) -> None:
    """What sources grant is known: pass it on."""
    for flow in found:
        if flow.ingress is not None:
            granted = flow.stated_by_upstream()
            flow.ingress_w = min(granted.power_mw / MILLIWATTS_PER_W, flow.through_w)
            flow.limited = granted.curtailed or not covers(flow.asked_w, flow.need_w)
    _grant_on(flows, efficiency)
    surplus.grant(found, flows, source_left_w, efficiency)
    for flow in found:
        flow.inherit()
        flow.watch_power()


def _by_circuit(flows: Iterable[Flow]) -> Iterable[list[Flow]]:
    """The flows of each circuit, those in front that go first."""
    flows = list(flows)
    if len({flow.key.circuit_id for flow in flows}) == len(flows):
        yield from ([flow] for flow in flows)
        return
    for _, group in groupby(sorted(flows, key=_place), key=lambda flow: flow.key.circuit_id):
        yield list(group)


def _place(flow: Flow) -> tuple[int, bool, bool, tuple[int, int, int]]:
    """A demand on a standby says that its sink has left the others, whatever is heard of them still; of those the
    newest goes first; what is idle comes last.
    """
    return (flow.key.circuit_id, flow.idle, not flow.hop.standby, by_precedence(flow))


def _accept(flows: Sequence[Flow]) -> None:
    """Clamp demand to the reservation: per circuit and egress line to the largest of its generations.

    At a load each may bring what is wanted of it: which of them has power shows only there, and energy is clamped.
    """
    for generations in _by_circuit(flows):
        left_w: dict[str, float] = {}
        for flow in generations:
            egress = flow.hop.egress_link_id or flow.hop.load_id
            reserved_w = flow.hop.received_power_w
            left_w[egress] = max(left_w.get(egress, 0.0), reserved_w)
        for flow in generations:
            egress = flow.hop.egress_link_id or flow.hop.load_id
            reserved_w = flow.hop.received_power_w
            if flow.egress is not None:
                reserved_w = min(reserved_w, left_w[egress])
            flow.accepted_w = _clamp(flow.demand_w, reserved_w)
            left_w[egress] = max(0.0, left_w[egress] - flow.accepted_w)


def _clamp(wanted_w: float, reserved_w: float) -> float:
    """At most the reservation; a surplus that rounding explains is let through."""
    if reserved_w <= 0.0 or wanted_w > reserved_w * (1.0 + RELATIVE_SLACK) + RATE_SLACK_W:
        return min(wanted_w, reserved_w)
    return wanted_w


class _Currents:
    """Adds up what the flows before one in order put on each line.

    An older generation of the same circuit does not count: it gives way to the newer one.
    """

    def __init__(self) -> None:
        self._total_a: dict[str, float] = {}
        self._circuit_a: dict[tuple[str, int], float] = {}

    def before_a(self, flow: Flow, link_id: str) -> float:
        own_a = self._circuit_a.get((link_id, flow.key.circuit_id), 0.0)
        return max(0.0, self._total_a.get(link_id, 0.0) - own_a)

    def add_lone(self, link_id: str, current_a: float) -> None:
        """Of a flow whose circuit has no other generation here."""
        self._total_a[link_id] = self._total_a.get(link_id, 0.0) + current_a

    def total_a(self, link_id: str) -> float:
        return self._total_a.get(link_id, 0.0)

    def add(self, flow: Flow, link_id: str, current_a: float) -> None:
        place = (link_id, flow.key.circuit_id)
        self._total_a[link_id] = self._total_a.get(link_id, 0.0) + current_a
        self._circuit_a[place] = self._circuit_a.get(place, 0.0) + current_a


def _need(flows: Sequence[Flow], conversion: Conversion) -> None:
    """What must enter, with the losses that each flow adds to those admitted before it."""
    currents = _Currents()
    leaving_w = 0.0
    for flow in flows:
        flow.need_w = _sent_w(flow, currents)
        leaving_w += flow.need_w
    conversion.carry(leaving_w)
    for flow in flows:
        flow.need_w /= conversion.efficiency


def _need_of_some(flows: Sequence[Flow], efficiency: float) -> None:
    """Likewise, of those whose need may have changed; they are not settled any more."""
    currents = _Currents()
    for flow in flows:
        line = flow.egress
        if flow.settled:
            if line is None:
                continue
            link = line.link
            if flow.before_a == currents.total_a(link.id):
                currents.add_lone(link.id, flow.accepted_w / link.voltage_v)
                continue
            flow.settled = False
        flow.need_w = _sent_w(flow, currents) / efficiency


def _sent_w(flow: Flow, currents: _Currents) -> float:
    """What is sent for what is accepted."""
    if flow.egress is None:
        return flow.accepted_w
    link = flow.egress.link
    flow.before_a = currents.before_a(flow, link.id)
    added_a = flow.accepted_w / link.voltage_v
    currents.add(flow, link.id, added_a)
    return flow.accepted_w + added_line_loss_w(link.resistance_ohm, flow.before_a, added_a)


def _clamp_to_converter(flows: Sequence[Flow], limit_w: float | None) -> bool:
    """Share what the converter takes by the rule for shortages; whether that is less than is wanted."""
    if limit_w is None:
        return False
    clamped = False
    wishes = []
    for generations in _by_circuit(flows):
        for flow in generations:
            flow.through_w = math.inf
        most_w = max(each.need_w for each in generations)
        wishes.append(_wish(generations, max(0.0, most_w - RATE_SLACK_W)))
    for wish, share_w in _shares(wishes, limit_w):
        clamped = True
        for flow in wish.generations:
            flow.through_w = share_w
    return clamped


def _ask(flows: Sequence[Flow]) -> None:
    """Clamp what is asked of upstream to what the ingress line carries, by the rule for shortages.

    The need may be more, where this router's efficiency or the line's rating has been lowered under a circuit. Of one
    circuit's generations the largest counts: the upstream neighbour holds all of them to one reservation.
    """
    on_line: dict[Line, list[Flow]] = {}
    for flow in flows:
        flow.asked_w = min(flow.need_w, flow.through_w)
        if flow.ingress is not None:
            on_line.setdefault(flow.ingress, []).append(flow)
    for line, sharing in on_line.items():
        if math.fsum(flow.need_w for flow in sharing) <= line.load.limit_w:
            continue
        wishes = [
            # Without what rounding may have added to it, which many circuits would add up.
            _wish(generations, max(0.0, max(each.need_w for each in generations) - RATE_SLACK_W))
            for generations in _by_circuit(sharing)
        ]
        for wish, share_w in _shares(wishes, line.load.limit_w):
            for flow in wish.generations:
                flow.asked_w = _clamp(min(flow.need_w, flow.through_w), share_w)


def _ask_without_shortage(found: Sequence[Flow], flows: Sequence[Flow]) -> bool:
    """Likewise, where all that is needed can be asked for; False where a line carries less."""
    for flow in found:
        flow.asked_w = flow.need_w
    lines = {flow.ingress for flow in found if flow.ingress is not None}
    needed_w = dict.fromkeys(lines, 0.0)
    for flow in flows:
        if flow.ingress in needed_w:
            needed_w[flow.ingress] += flow.need_w
    return all(needed_w[line] <= line.load.limit_w for line in lines)


def _grant_at_sources(flows: Sequence[Flow], max_power_w: Mapping[str, float]) -> dict[str, float]:
    """Grant what is needed, within the reservation, and by the rule for shortages where a source has less.

    Returns what each source has left.
    """
    at_source: dict[str, list[Flow]] = {}
    for generations in _by_circuit(flows):
        left_w = max(flow.hop.ingress_power_w for flow in generations)
        for flow in generations:
            flow.ingress_w = _clamp(min(flow.need_w, flow.through_w), left_w)
            flow.limited = flow.through_w < flow.need_w
            left_w = max(0.0, left_w - flow.ingress_w)
            at_source.setdefault(flow.hop.source_id, []).append(flow)
    for source_id, sharing in at_source.items():
        if math.fsum(flow.ingress_w for flow in sharing) <= max_power_w[source_id]:
            continue
        wishes = [
            _wish(generations, sum(each.ingress_w for each in generations))
            for generations in _by_circuit(sharing)
        ]
        for wish, share_w in _shares(wishes, max_power_w[source_id]):
            left_w = share_w
            for flow in wish.generations:
                flow.limited = not covers(left_w, flow.ingress_w)
                flow.ingress_w = min(flow.ingress_w, left_w)
                left_w -= flow.ingress_w
    left = dict(max_power_w)
    for flow in flows:
        left[flow.hop.source_id] -= flow.ingress_w
    return left


def _grant_without_shortage(
    found: Sequence[Flow], flows: Sequence[Flow], max_power_w: Mapping[str, float]
) -> dict[str, float] | None:
    """Likewise, where each source has all that is needed of it; None where one has less."""
    for generations in _by_circuit(flow for flow in found if flow.ingress is None):
        left_w = max(flow.hop.ingress_power_w for flow in generations)
        for flow in generations:
            flow.ingress_w = _clamp(flow.need_w, left_w)
            flow.limited = False
            left_w = max(0.0, left_w - flow.ingress_w)
    given_w: dict[str, list[float]] = {source_id: [] for source_id in max_power_w}
    for flow in flows:
        if flow.ingress is None:
            given_w[flow.hop.source_id].append(flow.ingress_w)
    left = {each: most_w - math.fsum(given_w[each]) for each, most_w in max_power_w.items()}
    return left if all(left_w >= 0.0 for left_w in left.values()) else None


class _Wish(NamedTuple):
    """What one circuit wants of a source or a line, over its generations there, the newest first."""

    generations: list[Flow]
    claim: Claim
    rank: tuple[int, int]


def _wish(generations: list[Flow], wanted_w: float) -> _Wish:
    hops = [flow.hop for flow in generations]
    # The floor counts at the load. Here, so much of what is reserved is more than enough for it: losses are convex.
    floor_w = max(hop.ingress_power_w * (hop.floor_w / hop.power_w) for hop in hops)
    return _Wish(
        generations,
        Claim(wanted_w, floor_w),
        rank(max(hop.priority for hop in hops), hops[0].circuit_id),
    )


def _shares(wishes: list[_Wish], available_w: float) -> Iterable[tuple[_Wish, float]]:
    """Those that get less than they want, and how much. Losses stay in the order of admission, whoever gives way."""
    if math.fsum(wish.claim.asked_w for wish in wishes) <= available_w:
        return
    wishes.sort(key=lambda wish: wish.rank)
    shares_w = share_out(available_w, [wish.claim for wish in wishes])
    for wish, share_w in zip(wishes, shares_w, strict=True):
        if share_w < wish.claim.asked_w:
            yield wish, share_w


def _grant_on(flows: Sequence[Flow], efficiency: float) -> None:
    """What will arrive at the far end: all that is accepted, or what the ingress grant suffices for."""
    currents = _Currents()
    for flow in flows:
        if flow.settled:
            if flow.egress is not None:
                link = flow.egress.link
                currents.add_lone(link.id, flow.granted_w / link.voltage_v)
            continue
        covered = covers(flow.ingress_w, flow.need_w)
        sent_w = efficiency * flow.ingress_w
        if flow.egress is None:
            flow.granted_w = flow.accepted_w if covered else min(sent_w, flow.accepted_w)
            continue
        link = flow.egress.link
        if covered:
            flow.granted_w = flow.accepted_w
        else:
            before_a = currents.before_a(flow, link.id)
            arrives_w = received_w(sent_w, link.resistance_ohm, link.voltage_v, before_a)
            flow.granted_w = min(arrives_w, flow.accepted_w)
        currents.add(flow, link.id, flow.granted_w / link.voltage_v)
