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
from router_agent.device.flow import RATE_SLACK_W, RELATIVE_SLACK, Flow, by_precedence, covers
from router_agent.device.line import Line
from router_agent.device.shared_standbys import (
    Limits,
    hold_to_pools,
    hold_to_what_is_unreserved,
)


def settle(
    flows: Sequence[Flow],
    limits: Limits,
    conversion: Conversion,
    demand_at_loads: Callable[[Sequence[Flow]], None],
) -> bool:
    """Set every flow's rates from what the neighbours state. ``flows`` are in order of admission, in which losses are
    charged; where there is less than is wanted, priorities and floors decide who gives way. Returns whether more was
    wanted than the converter takes.
    """
    for flow in flows:
        if flow.egress is not None:
            flow.demanded_below()
    demand_at_loads([flow for flow in flows if flow.egress is None])
    _accept(flows)
    hold_to_pools(flows, limits.pool_w)
    _need(flows, conversion)
    hold_to_what_is_unreserved(flows, limits, conversion)
    efficiency = conversion.efficiency
    clamped = _clamp_to_converter(flows, conversion.limit_w)
    _ask(flows)
    surplus.ask(flows, efficiency)
    source_left_w = _grant_at_sources(
        [flow for flow in flows if flow.ingress is None], limits.source_w
    )
    for flow in flows:
        if flow.ingress is not None:
            granted = flow.stated_by_upstream()
            flow.ingress_w = min(granted.power_mw / MILLIWATTS_PER_W, flow.through_w)
            flow.limited = granted.curtailed or not covers(flow.asked_w, flow.need_w)
    _grant_on(flows, efficiency)
    surplus.grant(flows, source_left_w, efficiency)
    for flow in flows:
        flow.inherit()
        flow.watch_power()
    return clamped


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

    def add(self, flow: Flow, link_id: str, current_a: float) -> None:
        place = (link_id, flow.key.circuit_id)
        self._total_a[link_id] = self._total_a.get(link_id, 0.0) + current_a
        self._circuit_a[place] = self._circuit_a.get(place, 0.0) + current_a


def _need(flows: Sequence[Flow], conversion: Conversion) -> None:
    """What must enter, with the losses that each flow adds to those admitted before it."""
    currents = _Currents()
    leaving_w = 0.0
    for flow in flows:
        sent_w = flow.accepted_w
        if flow.egress is not None:
            link = flow.egress.link
            before_a = currents.before_a(flow, link.id)
            added_a = flow.accepted_w / link.voltage_v
            sent_w += added_line_loss_w(link.resistance_ohm, before_a, added_a)
            currents.add(flow, link.id, added_a)
        flow.need_w = sent_w
        leaving_w += sent_w
    conversion.carry(leaving_w)
    for flow in flows:
        flow.need_w /= conversion.efficiency


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
