"""What a path needs, compiled: the power that must enter each router on it."""

from math import inf

from controller.routing.compiled import compiled
from controller.routing.paths.search_arrays import Arcs, Ask, Room

# Float rounding must not refuse a circuit exactly as large as what is free.
RELATIVE_TOLERANCE = 1e-9


@compiled
def through_w(
    received_w: float,
    resistance_ohm: float,
    voltage_v: float,
    before_a: float,
    efficiency: float,
) -> float:
    """:func:`digitalgrid.physics.sent_w`, to the bit, and what must enter the converter before the line for that."""
    added_a = received_w / voltage_v
    sent = received_w + resistance_ohm * added_a * (2.0 * before_a + added_a)
    return sent / efficiency


@compiled
def through_arc(arcs: Arcs, arc: int, arriving_w: float, credit_a: float) -> float:
    """Power that must enter the arc's tail so that ``arriving_w`` enters its head; infinite if it does not fit.

    Of the circuit's own older generation only what exceeds the newcomer is charged before it: routers clamp the
    sum of both to the larger, so as the newcomer grows the older one has gone.
    """
    voltage_v = arcs.voltage_v[arc]
    added_a = arriving_w / voltage_v
    if not added_a <= (arcs.headroom_a[arc] + credit_a) * (1.0 + RELATIVE_TOLERANCE):
        return inf
    before_a = arcs.load_a[arc] - min(credit_a, added_a)
    efficiency = arcs.efficiency[arcs.tail[arc]]
    return through_w(arriving_w, arcs.resistance_ohm[arc], voltage_v, before_a, efficiency)


@compiled
def write_powers(arcs: Arcs, room: Room, ask: Ask, length: int, sink_w: float) -> None:
    """What enters each router, computed anew by the formula that routers and reservations use."""
    entering_w = sink_w
    room.path_w[length] = sink_w
    for k in range(length - 1, -1, -1):
        arc = room.path_arcs[k]
        tail = arcs.tail[arc]
        before_a = arcs.load_a[arc]
        if ask.with_credit:
            before_a -= min(room.credit_a[arc], entering_w / arcs.voltage_v[arc])
        entering_w = through_w(
            entering_w,
            arcs.resistance_ohm[arc],
            arcs.voltage_v[arc],
            before_a,
            arcs.efficiency[tail],
        )
        room.path_w[k] = entering_w
