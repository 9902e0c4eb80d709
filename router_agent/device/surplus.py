"""Surplus: power beyond what is demanded, by which hops fill their buffers. It comes after everybody else's power.

An idle generation charges by a trickle, which the controller has reserved for it on lines. It comes last at sources.
While a flow primes, or a hop on its way holds less than routers are late, each hop asks for a tenth more than it passes
on. It is given what nobody has reserved on the line, and what is physically left at the source. A hop passes on what
those below want first and takes for itself what is left, so buffers fill from the sink upward and the stagger needs no
more than one hop does. Losses of all demanded power are charged before those of surplus, so nobody loses more because
another fills.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from digitalgrid.physics import added_line_loss_w, received_w
from router_agent.device.flow import Flow
from router_agent.device.flow_states import Playout
from router_agent.device.line import Line
from router_agent.device.slack import covers

# Of the reservation: fills a buffer of one tick in ten ticks, and is little to find on a line.
FILL_FRACTION = 0.1


def ask(flows: Sequence[Flow], among: Sequence[Flow], efficiency: float) -> None:
    """Find what each flow wants beyond its need: for the hops below it, and for its own buffer. The others of those
    ``among`` which they are want nothing.
    """
    filling = []
    for flow in flows:
        flow.surplus_w = flow.surplus_through_w = flow.surplus_need_w = 0.0
        if flow.idle or flow.fills or flow.fills_below:
            filling.append(flow)
    if not filling:
        return
    room = _Room(among)
    pool_left_w: dict[str, float] = {}
    currents_a = _currents_a(among)
    filling.sort(key=lambda flow: flow.idle)
    for flow in filling:
        if flow.idle:
            most_w = flow.hop.trickle_w
            if flow.hop.shared_standby:
                below_w = pool_left_w.setdefault(flow.hop.egress_link_id, flow.trickle_room_w)
            else:
                below_w = most_w
            _ask_below(flow, most_w, efficiency, min(most_w, below_w), currents_a)
            if flow.hop.shared_standby:
                pool_left_w[flow.hop.egress_link_id] -= flow.surplus_w
            own_w = most_w - flow.surplus_through_w if flow.fills else 0.0
            flow.surplus_need_w = flow.surplus_through_w + own_w
            continue
        most_w = FILL_FRACTION * flow.hop.ingress_power_w
        if flow.ingress is not None:
            most_w = min(most_w, room.left_w(flow.ingress, sends=False))
        # What begins to play is full before what plays below keeps more for bad days.
        first = flow.playout is Playout.FILLING and not flow.primes_below
        if flow.egress is not None and flow.fills_below and not first:
            room_w = room.left_w(flow.egress, sends=True)
            below_w = min(FILL_FRACTION * flow.hop.received_power_w, room_w)
            _ask_below(flow, most_w, efficiency, below_w, currents_a)
            room.take(flow.egress, flow.surplus_w, sends=True)
        own_w = most_w - flow.surplus_through_w if flow.fills else 0.0
        flow.surplus_need_w = flow.surplus_through_w + own_w
        if flow.ingress is not None:
            room.take(flow.ingress, flow.surplus_need_w, sends=False)


def grant(
    flows: Sequence[Flow],
    among: Sequence[Flow],
    source_left_w: Mapping[str, float],
    efficiency: float,
) -> None:
    """Share out what is left once all that is demanded is granted; ``source_left_w`` is that of each source."""
    left_w = dict(source_left_w)
    currents_a: dict[str, float] | None = None
    for flow in sorted(flows, key=lambda flow: flow.idle):
        if flow.surplus_w == 0.0:
            continue
        if flow.ingress is None:
            source_id = flow.hop.source_id
            flow.surplus_ingress_w = max(0.0, min(flow.surplus_need_w, left_w[source_id]))
            left_w[source_id] -= flow.surplus_ingress_w
        else:
            enough = covers(flow.ingress_w, flow.need_w)
            flow.surplus_ingress_w = max(0.0, flow.ingress_w - flow.need_w) if enough else 0.0
        if flow.surplus_ingress_w >= flow.surplus_through_w:
            continue
        if currents_a is None:
            currents_a = _currents_a(among)
        flow.surplus_w = _arrives_w(flow, efficiency, currents_a)


def _ask_below(
    flow: Flow, most_w: float, efficiency: float, room_w: float, currents_a: dict[str, float]
) -> None:
    """What hops below may have: at most ``most_w`` here, and ``room_w`` at the far end."""
    if flow.egress is None:
        return
    link = flow.egress.link
    wanted_w = flow.stated_by_downstream_w() - flow.accepted_w
    below_w = min(wanted_w, room_w)
    if below_w <= 0.0:
        return
    before_a = currents_a[link.id]
    loss_w = added_line_loss_w(link.resistance_ohm, before_a, below_w / link.voltage_v)
    through_w = (below_w + loss_w) / efficiency
    if through_w > most_w:
        # Losses are convex: of a part of it at most that part is lost.
        below_w *= most_w / through_w
        through_w = most_w
    flow.surplus_w, flow.surplus_through_w = below_w, through_w
    currents_a[link.id] = before_a + below_w / link.voltage_v


def _arrives_w(flow: Flow, efficiency: float, currents_a: Mapping[str, float]) -> float:
    if flow.egress is None:
        return 0.0
    link = flow.egress.link
    sent_w = efficiency * flow.surplus_ingress_w
    arrives_w = received_w(
        sent_w, link.resistance_ohm, link.voltage_v, currents_a.get(link.id, 0.0)
    )
    return max(0.0, min(arrives_w, flow.surplus_w))


def _currents_a(flows: Iterable[Flow]) -> dict[str, float]:
    """What demanded power puts on each line."""
    currents_a: dict[str, float] = {}
    for flow in flows:
        if flow.egress is not None:
            link = flow.egress.link
            currents_a[link.id] = currents_a.get(link.id, 0.0) + flow.accepted_w / link.voltage_v
    return currents_a


class _Room:
    """What nobody has reserved on each line, half of it for surplus either way.

    Whoever may send on a line has its hop at both ends before: so both know all reservations in time, and reckon alike.
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._flows = flows
        # By line, and whether this end sends.
        self._left_w: dict[tuple[Line, bool], float] = {}

    @cached_property
    def _reserved_w(self) -> Mapping[Line, float]:
        return _reserved_w(self._flows)

    def left_w(self, line: Line, *, sends: bool) -> float:
        if (line, sends) not in self._left_w:
            link = line.link
            unreserved_w = link.voltage_v * link.ampacity_a - self._reserved_w[line]
            for way in (True, False):
                self._left_w[line, way] = max(0.0, unreserved_w / 2)
        return self._left_w[line, sends]

    def take(self, line: Line, power_w: float, *, sends: bool) -> None:
        self._left_w[line, sends] -= power_w


def _reserved_w(flows: Sequence[Flow]) -> dict[Line, float]:
    """On each line, both ways; of one circuit's generations the largest counts, and trickles beside it."""
    total_w: dict[Line, float] = defaultdict(float)
    # By line, what arrives of each circuit here and at the far end.
    here_w: dict[Line, dict[int, float]] = defaultdict(dict)
    there_w: dict[Line, dict[int, float]] = defaultdict(dict)
    for flow in flows:
        hop, circuit_id = flow.hop, flow.key[0]
        ingress, egress = flow.ingress, flow.egress
        if ingress is not None:
            largest_w = here_w[ingress]
            if hop.ingress_power_w > largest_w.get(circuit_id, 0.0):
                largest_w[circuit_id] = hop.ingress_power_w
        if egress is not None:
            largest_w = there_w[egress]
            if hop.received_power_w > largest_w.get(circuit_id, 0.0):
                largest_w[circuit_id] = hop.received_power_w
        if flow.idle:
            for line in (ingress, egress):
                if line is not None:
                    total_w[line] += hop.trickle_w
    for line, largest_w in (*here_w.items(), *there_w.items()):
        total_w[line] += sum(largest_w.values())
    return total_w
