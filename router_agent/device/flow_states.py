"""The two state machines of a flow, as transition tables: what its sink reports of it, and how it is played out.

Only :class:`router_agent.device.flow.Flow` moves along them. The documentation's diagrams are made from them, see
:mod:`router_agent.device.state_diagrams`.
"""

from enum import StrEnum

from digitalgrid.model import FlowState


class FlowEvent(StrEnum):
    """What changes the state that a sink reports of a flow."""

    ENERGY = "energy arrives"  # with the demand granted in full
    FULL_TICK = "full tick"  # delivered as demanded, over a whole tick
    SHORTAGE = "shortage"  # less than the demand is granted
    IDLED = "idled"  # its sink demands another generation
    EMPTY = "empty"  # drained: nothing is wanted, held or under way any more


F, E = FlowState, FlowEvent
FLOW_STATES: dict[tuple[FlowState, FlowEvent], FlowState] = {
    **{(state, E.ENERGY): F.ARRIVED for state in (F.SILENT, F.STARVED)},
    (F.ARRIVED, E.FULL_TICK): F.ACTUATED,
    **{(state, E.SHORTAGE): F.STARVED for state in (F.SILENT, F.ARRIVED, F.ACTUATED)},
    **{(state, E.IDLED): F.SILENT for state in (F.ARRIVED, F.ACTUATED, F.STARVED)},
    **{(state, E.EMPTY): F.DRAINED for state in (F.SILENT, F.ARRIVED, F.ACTUATED, F.STARVED)},
}
del F, E


class Playout(StrEnum):
    """How far a flow is on its way to a steady stream: a playout buffer, as of voice over packets.

    Power packets come once a tick, and a hop that spent each as it came would run dry whenever it looks between two.
    So it sends the first packet on at once, then holds what follows until it is one tick behind its upstream
    neighbour: the next packet is always there before the last is spent. A source needs no such cushion. Where upstream
    sends at short intervals it plays once it is one of those behind, and takes a little more than it passes on until
    packets may come by ticks again.
    """

    WAITING = "waiting"  # no energy since power was granted
    PRIMED = "primed"  # the first packet has gone on; upstream is not steady yet
    HOLDING = "holding"  # upstream is steady; this hop begins at play_ns
    FILLING = "filling"  # it plays, and needs packets at short intervals until its buffer is full
    STEADY = "steady"


class PlayoutEvent(StrEnum):
    DRAWN = "drawn from the source"
    SENT_ON = "first packet sent on"
    PACKET = "next packet"
    READY = "enough for short intervals"
    FULL = "enough for ticks"
    NO_POWER = "nothing accepted or granted"


P, V = Playout, PlayoutEvent
PLAYOUTS: dict[tuple[Playout, PlayoutEvent], Playout] = {
    (P.WAITING, V.DRAWN): P.STEADY,
    (P.WAITING, V.SENT_ON): P.PRIMED,
    (P.PRIMED, V.PACKET): P.HOLDING,
    **{(state, V.READY): P.FILLING for state in (P.WAITING, P.HOLDING)},
    **{(state, V.FULL): P.STEADY for state in (P.WAITING, P.PRIMED, P.HOLDING, P.FILLING)},
    **{(state, V.NO_POWER): P.WAITING for state in (P.PRIMED, P.HOLDING, P.FILLING, P.STEADY)},
}
del P, V
