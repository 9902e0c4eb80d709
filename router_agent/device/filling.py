"""Filling: how much energy is enough for a flow's buffer, and for how long it asks for more than it passes on."""

from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.cushion import Cushion
from router_agent.device.flow import LEAN_FRACTION, Flow
from router_agent.device.flow_states import Playout

# A hop that fills for longer finds no surplus on its line or at its source, and costs frames as long as it does.
_FILLS_AT_MOST_NS = 10 * NS_PER_S
# It then keeps back so much of its stream, which no load notices: a tick of 100 ms is full after 100 s.
KEPT_BACK = 1e-3
# A stream that runs and has less than is worth having asks for more for as long, at a time, and then not for a while:
# where its source has nothing left it would ask for ever, and its routers would never stand.
_ASKS_AGAIN_NS = 60 * NS_PER_S
# Of a full buffer: what an idle hop may be short of and still be called full; more than passes through within a tick.
_CHARGED_FRACTION = 0.8


def watch_cushion(flow: Flow, cushion: Cushion, now_ns: int) -> None:
    """Find how much energy is enough, as of the rates that hold now, and how long it has been too little."""
    goes_on_w = min(flow.need_w, flow.ingress_w) or flow.need_w
    if flow.idle:
        goes_on_w = flow.hop.ingress_power_w
    flow.ready_mj = round(goes_on_w * cushion.ready_ns / NS_PER_MS)
    full_ns = cushion.charged_ns if flow.idle else cushion.full_ns
    flow.full_mj = round(goes_on_w * full_ns / NS_PER_MS)
    kept_before_mj = flow.kept_mj
    flow.kept_mj = round(goes_on_w * cushion.kept_ns / NS_PER_MS)
    if flow.idle:
        flow.watch_lean(flow.buffer_mj)
        # Once full it stays so while it passes on what others above and below need to be.
        level_mj = _CHARGED_FRACTION * flow.full_mj if flow.has_charge else flow.full_mj
        flow.has_charge = flow.buffer_mj >= level_mj
    elif flow.ingress is not None and 0 < kept_before_mj < LEAN_FRACTION * flow.kept_mj:
        # More is worth having than it was filled up to.
        flow.lean = flow.buffer_mj < flow.kept_mj
    _watch_asking(flow, now_ns)
    if flow.playout is not Playout.FILLING:
        flow.fills_since_ns = None
    elif flow.fills_since_ns is None:
        flow.fills_since_ns = now_ns
    since_ns = flow.fills_since_ns
    flow.keeps_back = since_ns is not None and now_ns - since_ns > _FILLS_AT_MOST_NS


def _watch_asking(flow: Flow, now_ns: int) -> None:
    if flow.playout is not Playout.STEADY or not flow.lean or flow.idle:
        flow.asks_since_ns, flow.in_vain = None, False
        return
    since_ns = flow.asks_since_ns
    if since_ns is None or now_ns - since_ns >= _ASKS_AGAIN_NS:
        since_ns = flow.asks_since_ns = now_ns
    flow.in_vain = now_ns - since_ns > _FILLS_AT_MOST_NS
