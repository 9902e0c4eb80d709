"""From the fabric's effects to OpenFlow 1.3 messages of os-ken."""

import secrets
from collections.abc import Iterable
from typing import Any

from controller.openflow.flows import (
    FORWARDING_TABLE,
    Action,
    AddFlow,
    Effect,
    Match,
    RemoveFlow,
    RemoveOthersFlows,
    SendFrame,
    Verdict,
)

# Of the 64 of OpenFlow: all ones would mean none.
_COOKIE_BITS = 63

# os-ken carries no types: its datapaths and messages are Any here.
Datapath = Any
Message = Any


def new_cookie() -> int:
    """What tells the flows of one connection of a switch from those of all others."""
    return secrets.randbits(_COOKIE_BITS)


def to_messages(datapath: Datapath, effect: Effect, cookie: int) -> Iterable[Message]:
    """The messages that have this effect on the switch of ``datapath``, in their order."""
    if isinstance(effect, RemoveOthersFlows):
        return _without_others(datapath, cookie)
    return [_to_message(datapath, effect, cookie)]


def _without_others(datapath: Datapath, cookie: int) -> Iterable[Message]:
    """OpenFlow removes flows whose cookie is like a mask, and none whose cookie is not: so for each bit those that
    have the other one.
    """
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    for bit in (1 << place for place in range(_COOKIE_BITS)):
        yield parser.OFPFlowMod(
            datapath,
            cookie=~cookie & bit,
            cookie_mask=bit,
            command=ofp.OFPFC_DELETE,
            table_id=ofp.OFPTT_ALL,
            out_port=ofp.OFPP_ANY,
            out_group=ofp.OFPG_ANY,
        )


def _to_message(
    datapath: Datapath, effect: AddFlow | RemoveFlow | SendFrame, cookie: int
) -> Message:
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    match effect:
        case RemoveFlow(_, match):
            return parser.OFPFlowMod(
                datapath,
                command=ofp.OFPFC_DELETE_STRICT,
                table_id=match.table,
                priority=match.priority,
                match=_match(parser, match),
                out_port=ofp.OFPP_ANY,
                out_group=ofp.OFPG_ANY,
            )
        case AddFlow(_, match, action, lifetime_s):
            return parser.OFPFlowMod(
                datapath,
                cookie=cookie,
                command=ofp.OFPFC_ADD,
                table_id=match.table,
                priority=match.priority,
                hard_timeout=lifetime_s,
                match=_match(parser, match),
                instructions=_instructions(ofp, parser, action),
            )
        case SendFrame(_, ports, frame):
            return parser.OFPPacketOut(
                datapath,
                buffer_id=ofp.OFP_NO_BUFFER,
                in_port=ofp.OFPP_CONTROLLER,
                actions=[parser.OFPActionOutput(port) for port in ports],
                data=frame,
            )


def _match(parser: Any, match: Match) -> Any:
    fields = {
        "in_port": match.in_port,
        "eth_src": match.source and match.source.hex(":"),
        "eth_dst": match.destination and match.destination.hex(":"),
        "eth_type": match.eth_type,
    }
    return parser.OFPMatch(**{name: value for name, value in fields.items() if value is not None})


def _instructions(ofp: Any, parser: Any, action: Action) -> list[Any]:
    if action is Verdict.DROP:
        return []
    if action is Verdict.TO_FORWARDING:
        return [parser.OFPInstructionGotoTable(FORWARDING_TABLE)]
    if action is Verdict.TO_CONTROLLER:
        output = parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)
    else:
        output = parser.OFPActionOutput(action)
    return [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [output])]
