"""Shared standbys are held to their room: a line's pool, and elsewhere what nobody else has reserved.

Under any failure that they cover they have what they need. Under several at once, who comes first in priority and then
in age is served first, in every router alike, and what is left over is a shortage. So generations with room of their
own lose nothing by those that share, at lines, at converters, and at sources.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from router_agent.device.conversion import Conversion
from router_agent.device.flow import Flow
from router_agent.device.slack import RATE_SLACK_W, RELATIVE_SLACK


class Limits(NamedTuple):
    """``source_w`` is what each source can give now, ``rated_w`` what it is built for, ``pool_w`` what the shared
    standbys may put on each line.
    """

    source_w: Mapping[str, float]
    rated_w: Mapping[str, float]
    pool_w: Mapping[str, float]


def hold_to_pools(flows: Sequence[Flow], pool_w: Mapping[str, float]) -> None:
    """Clamp what is accepted of them to the pools of the lines that they leave by; the rest of each is for trickles."""
    sharing = [flow for flow in flows if flow.hop.shared_standby and flow.egress is not None]
    for link_id, on_line in _grouped(sharing, lambda flow: flow.hop.egress_link_id).items():
        room_w = pool_w.get(link_id, 0.0)
        active = [flow for flow in on_line if flow.accepted_w > 0.0]
        claims = [
            _Claim(flow, flow.accepted_w, flow.accepted_w - _own_left_w(flow, flows))
            for flow in active
        ]
        for flow, share_w in _shares(claims, room_w):
            flow.accepted_w = share_w
        left_w = 0.0 if active else room_w
        for flow in sorted(on_line, key=lambda flow: not flow.drains):
            flow.trickle_room_w = left_w
            if flow.drains:
                left_w -= flow.drain_w


class PoolUse(NamedTuple):
    """Of a line's pool: what it is, what is accepted of the standbys that share it, and what those that are not idle
    were made for.
    """

    pool_w: float = 0.0
    used_w: float = 0.0
    wanted_w: float = 0.0


def pool_uses(flows: Iterable[Flow], pool_w: Mapping[str, float]) -> dict[str, PoolUse]:
    """By link, where there is a pool or anybody who would need one."""
    uses = {link_id: PoolUse(power_w) for link_id, power_w in pool_w.items()}
    for flow in flows:
        if flow.hop.shared_standby and flow.egress is not None:
            link_id = flow.hop.egress_link_id
            power_w, used_w, wanted_w = uses.get(link_id, PoolUse())
            # Also where routers below ask for less, because they hold it to their room.
            wanted_w += 0.0 if flow.idle else flow.hop.received_power_w
            uses[link_id] = PoolUse(power_w, used_w + flow.accepted_w, wanted_w)
    return uses


def hold_to_what_is_unreserved(
    found: Sequence[Flow], flows: Sequence[Flow], limits: Limits, conversion: Conversion
) -> None:
    """Where a source, the converter or the line that they come by has less than all need, only they get less. All that
    are demanded are among those ``found``.
    """
    active = [flow for flow in found if flow.hop.shared_standby and flow.need_w > 0.0]
    if not active:
        return
    by_source = _grouped(flows, lambda flow: flow.hop.source_id)
    by_line = _grouped(flows, lambda flow: flow.hop.ingress_link_id)
    rooms: list[tuple[float, Sequence[Flow]]] = [
        (limits.rated_w[each], together) for each, together in by_source.items() if each
    ]
    lines = {flow.ingress.link.id: flow.ingress for flow in active if flow.ingress is not None}
    rooms += [(line.load.limit_w, by_line[link_id]) for link_id, line in lines.items()]
    if conversion.limit_w is not None:
        rooms.append((conversion.limit_w, flows))
    for limit_w, together in rooms:
        _hold_to(limit_w, together)


def _hold_to(limit_w: float, together: Sequence[Flow]) -> None:
    if math.fsum(flow.need_w for flow in together) <= limit_w:
        return
    reserved_w: dict[int, float] = {}
    used_w: dict[int, float] = {}
    for flow in together:
        circuit_id = flow.key.circuit_id
        if not flow.hop.shared_standby:
            own_w = reserved_w.get(circuit_id, 0.0)
            reserved_w[circuit_id] = max(own_w, flow.hop.ingress_power_w)
            used_w[circuit_id] = used_w.get(circuit_id, 0.0) + flow.need_w
    claims = []
    for flow in together:
        if flow.hop.shared_standby and flow.need_w > 0.0:
            circuit_id = flow.key.circuit_id
            own_left_w = reserved_w.get(circuit_id, 0.0) - used_w.get(circuit_id, 0.0)
            claims.append(_Claim(flow, flow.need_w, flow.need_w - max(0.0, own_left_w)))
    for flow, share_w in _shares(claims, limit_w - math.fsum(reserved_w.values())):
        # Losses are convex: for a part of the power that part of the need is more than enough.
        flow.accepted_w *= share_w / flow.need_w
        flow.need_w = share_w


class _Claim(NamedTuple):
    """``shared_w`` of what a flow wants is beyond what its circuit's other generations hold there."""

    flow: Flow
    wanted_w: float
    shared_w: float


def _shares(claims: list[_Claim], room_w: float) -> Iterable[tuple[Flow, float]]:
    """Those that get less than they want, and how much."""
    left_w = max(0.0, room_w * (1.0 + RELATIVE_SLACK))
    for flow, wanted_w, shared_w in sorted(claims, key=lambda claim: _order(claim.flow)):
        # Without what rounding may have added to it, which many would add up.
        claimed_w = max(0.0, shared_w - RATE_SLACK_W)
        if claimed_w <= left_w:
            left_w -= claimed_w
            continue
        yield flow, max(0.0, wanted_w - shared_w + (left_w if left_w > RATE_SLACK_W else 0.0))
        left_w = 0.0


def _order(flow: Flow) -> tuple[bool, int, int]:
    """Who gets nothing from above and has run dry keeps nobody waiting: its way is broken as well."""
    dry = flow.ingress is not None and not flow.bridges and flow.granted_above_w == 0.0
    return (dry, -flow.hop.priority, flow.hop.admission_seq)


def _own_left_w(flow: Flow, flows: Sequence[Flow]) -> float:
    """What its circuit's other generations hold of the line that it leaves by, and leave to it now."""
    others = [
        each
        for each in flows
        if each.key.circuit_id == flow.key.circuit_id
        and each.egress is flow.egress
        and not each.hop.shared_standby
    ]
    reserved_w = max((each.hop.received_power_w for each in others), default=0.0)
    return max(0.0, reserved_w - math.fsum(each.accepted_w for each in others))


def _grouped(flows: Iterable[Flow], key: Callable[[Flow], str]) -> dict[str, list[Flow]]:
    groups: dict[str, list[Flow]] = {}
    for flow in flows:
        groups.setdefault(key(flow), []).append(flow)
    return groups
