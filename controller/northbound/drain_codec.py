"""Drains, admin words and what-if: protobuf messages <-> the core's values."""

from controller.core.errors import invalid
from controller.core.network.admin import (
    GIVE_UP_AFTER_NS,
    AdminState,
    Block,
    DrainOrder,
    DrainRecord,
    Hindrance,
)
from controller.core.questions import Questions
from controller.core.rehearsing.scenario import Consequence, Consequences, Outcome
from controller.northbound.codec import check_ids
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb

# Of each word, how many of those that are in the way are told: a topology has many words, and a router many circuits.
MAX_BLOCKS = 20
# A year: whoever means longer means to keep it.
_MAX_GIVE_UP_NS = 365 * 86_400 * NS_PER_S
_STATES = {
    AdminState.IN_SERVICE: pb.ADMIN_STATE_UNSPECIFIED,
    AdminState.DRAINING: pb.ADMIN_STATE_DRAINING,
    AdminState.DRAINED: pb.ADMIN_STATE_DRAINED,
}
_OUTCOMES = {each: pb.Outcome.Value(f"OUTCOME_{each.name}") for each in Outcome}
_HINDRANCES = {each: pb.DrainHindrance.Value(f"DRAIN_HINDRANCE_{each.name}") for each in Hindrance}

# An operator's word on a link or router, and what keeps a drain from its end; None for what is in service.
Word = tuple[DrainRecord, tuple[Block, ...]] | None


def drain_order(message: pb.DrainRequest) -> DrainOrder:
    """Raises Refusal for what no network could mean."""
    check_ids("id", [message.id])
    after_ns = message.give_up_after_ns
    if not 0 <= after_ns <= _MAX_GIVE_UP_NS:
        raise invalid(
            "give_up_after_ns",
            Reason.DURATION_OUT_OF_RANGE,
            f"give_up_after_ns must lie between 0 and {_MAX_GIVE_UP_NS} (a year), not be {after_ns}",
        )
    if message.keep and after_ns:
        raise invalid(
            "keep",
            Reason.KEEP_OR_GIVE_UP,
            "keep never gives up: leave out either keep or give_up_after_ns",
        )
    return DrainOrder(
        message.id,
        0 if message.keep else after_ns or GIVE_UP_AFTER_NS,
        message.emergency_use,
        message.curtail,
    )


def word_on(known: Questions, id_: str) -> Word:
    word = known.drains.get(id_)
    return (word, known.drain_blocks(id_)) if word is not None else None


def word_to_pb(found: Word) -> pb.AdminWord | None:
    """None for what is in service."""
    if found is None:
        return None
    word, blocks = found
    return pb.AdminWord(
        state=_STATES[word.state],
        since_unix_ns=word.since_unix_ns,
        give_up_unix_ns=word.give_up_unix_ns,
        emergency_use=word.emergency_use,
        curtail=word.curtail,
        blocks=[_block_to_pb(each) for each in blocks[:MAX_BLOCKS]],
        block_count=len(blocks),
    )


def _block_to_pb(block: Block) -> pb.DrainBlock:
    return pb.DrainBlock(
        circuit_id=block.circuit_id, hindrance=_HINDRANCES[block.why], text=block.text
    )


def consequences_to_pb(found: Consequences) -> pb.WhatIfResponse:
    return pb.WhatIfResponse(
        consequences=[_consequence_to_pb(each) for each in found.concerned], circuits=found.circuits
    )


def _consequence_to_pb(found: Consequence) -> pb.Consequence:
    return pb.Consequence(
        circuit_id=found.circuit_id,
        sink_id=found.sink_id,
        power_w=found.power_w,
        outcome=_OUTCOMES[found.outcome],
        from_router_ids=found.old.router_ids if found.old else (),
        to_router_ids=found.new.router_ids if found.new else (),
        loss_before=found.old.loss_fraction if found.old else 0.0,
        loss_after=found.new.loss_fraction if found.new else 0.0,
        text=found.text,
    )
