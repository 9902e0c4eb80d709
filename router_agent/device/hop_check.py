"""Validation of one hop against physics and against what the router has: links, sources, loads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from digitalgrid.limits import MAX_POWER_W, MIN_POWER_W
from digitalgrid.model import CircuitGeneration, HopSnapshot, ResultCode

# Higher generations are noise; room is left for the tombstone above.
MAX_GENERATIONS = 2**62
# Reservations are sums and products of floats that two programs computed.
_SLACK = 1.0 + 1e-9

Problem = tuple[ResultCode, str]


@dataclass(frozen=True, slots=True)
class HopCheck:
    """``link_up`` maps each link's id to its state, None for one that is not there; the ids are the cell's."""

    link_up: Callable[[str], bool | None]
    source_ids: frozenset[str]
    load_ids: frozenset[str]

    def problem(self, hop: HopSnapshot) -> Problem | None:
        """Why this router could not carry the hop; None where it could."""
        if not hop.circuit_id or not 1 <= hop.generation <= MAX_GENERATIONS:
            return ResultCode.INVALID_HOP, "circuit_id and generation must be 1 or more, and sane"
        if not (hop.source_id or hop.ingress_link_id) or not (hop.load_id or hop.egress_link_id):
            return ResultCode.INVALID_HOP, "needs one ingress and one egress"
        powers = (hop.power_w, hop.ingress_power_w, hop.egress_power_w, hop.received_power_w)
        # Also false for NaN.
        if not all(MIN_POWER_W <= power_w <= MAX_POWER_W for power_w in powers):
            message = f"powers must lie between {MIN_POWER_W:g} and {MAX_POWER_W:g} W"
            return ResultCode.INVALID_HOP, message
        if not hop.received_power_w <= hop.egress_power_w * _SLACK:
            return ResultCode.INVALID_HOP, "received_power_w is above egress_power_w"
        if not hop.egress_power_w <= hop.ingress_power_w * _SLACK:
            return ResultCode.INVALID_HOP, "egress_power_w is above ingress_power_w"
        if not 0.0 <= hop.floor_w <= hop.power_w * _SLACK:
            return ResultCode.INVALID_HOP, "floor_w is below 0 or above power_w"
        if hop.asked_w and not hop.power_w <= hop.asked_w <= MAX_POWER_W:
            return ResultCode.INVALID_HOP, "asked_w is below power_w, or beyond reason"
        if not 0.0 <= hop.trickle_w <= hop.ingress_power_w * _SLACK:
            return ResultCode.INVALID_HOP, "trickle_w is below 0 or above ingress_power_w"
        if hop.shared_standby and not hop.standby:
            return ResultCode.INVALID_HOP, "shared_standby, and no standby"
        if hop.source_id and hop.source_id not in self.source_ids:
            return ResultCode.INVALID_HOP, f"this router has no source {hop.source_id!r}"
        if hop.load_id and hop.load_id not in self.load_ids:
            return ResultCode.INVALID_HOP, f"this router has no load {hop.load_id!r}"
        if hop.ingress_link_id and hop.ingress_link_id == hop.egress_link_id:
            return ResultCode.INVALID_HOP, f"power comes and goes by link {hop.egress_link_id!r}"
        links = [link_id for link_id in (hop.ingress_link_id, hop.egress_link_id) if link_id]
        for link_id in links:
            if self.link_up(link_id) is None:
                return ResultCode.INVALID_HOP, f"this router has no link {link_id!r}"
        for link_id in links:
            if not self.link_up(link_id):
                return ResultCode.LINK_DOWN, f"link {link_id!r} is down"
        return None


def are_sane(circuits: Sequence[CircuitGeneration]) -> bool:
    return all(1 <= generation <= MAX_GENERATIONS for _, generation in circuits)
