"""Rows: what the page is told of each thing, as arrays whose columns are named once, after the fields of the protos."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Generation
from controller.core.network.link import LinkState
from controller.northbound.codec import shown_generation
from controller.northbound.drain_codec import MAX_BLOCKS, Word
from controller.northbound.topology_codec import (
    Kind,
    LinkPicture,
    LoadPicture,
    Picture,
    RouterPicture,
    SourcePicture,
)
from digitalgrid.units import NS_PER_MS

_encode = msgspec.json.Encoder().encode


class ShownCircuit(NamedTuple):
    """A circuit on the generation that it is shown on, and its standby."""

    circuit: Circuit
    working: Generation | None
    standby: Generation | None


def _admin(word: Word) -> str:
    """Empty for what is in service."""
    return "" if word is None else word[0].state.value


def _word(word: Word) -> dict[str, Any] | None:
    if word is None:
        return None
    record, blocks = word
    return {
        "state": record.state.value,
        "since_unix_ms": record.since_unix_ns // NS_PER_MS,
        "give_up_unix_ms": record.give_up_unix_ns // NS_PER_MS,
        "emergency_use": record.emergency_use,
        "blocks": [(each.circuit_id, each.why.value, each.text) for each in blocks[:MAX_BLOCKS]],
        "block_count": len(blocks),
    }


_ROUTER: dict[str, Callable[[RouterPicture], object]] = {
    "router_id": lambda shown: shown.router.router_id,
    "connected": lambda shown: shown.connected,
    "late_ms": lambda shown: shown.lateness.late_ms,
    "unanswered": lambda shown: shown.lateness.unanswered,
    "at": lambda shown: shown.router.at,
    "efficiency": lambda shown: shown.router.efficiency,
    "profile": lambda shown: shown.router.profile.id,
    "through_w": lambda shown: shown.reserved_through_w,
    "max_through_w": lambda shown: shown.router.profile.max_through_w,
    "refused_claim_count": lambda shown: len(shown.refused),
    "admin": lambda shown: _admin(shown.word),
    "admin_word": lambda shown: _word(shown.word),
}
_LINK: dict[str, Callable[[LinkPicture], object]] = {
    "link_id": lambda shown: shown.link.link_id,
    "a_router_id": lambda shown: shown.link.a,
    "b_router_id": lambda shown: shown.link.b,
    "up": lambda shown: shown.up,
    # Nobody says that it is down: an end is silent, or its word is too old.
    "silent": lambda shown: not shown.up and shown.link.state is not LinkState.DOWN,
    # A word and the same in words; both empty where nobody says why.
    "down_cause": lambda shown: shown.why_down.cause.name.lower() if shown.why_down.text else "",
    "down_text": lambda shown: shown.why_down.text,
    "resistance_ohm": lambda shown: shown.link.resistance_ohm,
    "voltage_v": lambda shown: shown.link.voltage_v,
    "ampacity_a": lambda shown: shown.link.ampacity_a,
    "cost_per_mwh": lambda shown: shown.link.cost_per_mwh,
    "reserved_a_to_b_a": lambda shown: shown.reserved_a_to_b_a,
    "reserved_b_to_a_a": lambda shown: shown.reserved_b_to_a_a,
    "pool_a_to_b_a": lambda shown: shown.pool_a_to_b_a,
    "pool_b_to_a_a": lambda shown: shown.pool_b_to_a_a,
    "standby_a_to_b_a": lambda shown: shown.standby_a_to_b_a,
    "standby_b_to_a_a": lambda shown: shown.standby_b_to_a_a,
    "circuit_count": lambda shown: len(shown.circuit_ids),
    "risk_groups": lambda shown: sorted(shown.link.risk_groups),
    "via": lambda shown: shown.link.via,
    "admin": lambda shown: _admin(shown.word),
    "admin_word": lambda shown: _word(shown.word),
}
_SOURCE: dict[str, Callable[[SourcePicture], object]] = {
    "source_id": lambda shown: shown.source.source_id,
    "router_id": lambda shown: shown.router_id,
    "max_power_w": lambda shown: shown.source.max_power_w,
    "reserved_w": lambda shown: shown.reserved_w,
    "cost_per_mwh": lambda shown: shown.source.cost_per_mwh,
    "renewable": lambda shown: shown.source.renewable,
    "carbon_kg_per_mwh": lambda shown: shown.source.carbon_kg_per_mwh,
    "standby_w": lambda shown: shown.standby_w,
}
_LOAD: dict[str, Callable[[LoadPicture], object]] = {
    "load_id": lambda shown: shown.load.load_id,
    "router_id": lambda shown: shown.router_id,
    "max_power_w": lambda shown: shown.load.max_power_w,
    "reserved_w": lambda shown: shown.reserved_w,
    "priority": lambda shown: shown.load.priority,
    "value_per_mwh": lambda shown: shown.load.value_per_mwh,
    "held_w": lambda shown: shown.held_w,
}


def _curtailed(circuit: Circuit) -> dict[str, Any] | None:
    curtailed = circuit.curtailed
    if curtailed is None:
        return None
    return {
        "by": curtailed.by,
        "since_unix_ms": curtailed.since_unix_ns // NS_PER_MS,
        "asked_w": curtailed.asked_w,
        "granted_w": curtailed.granted_w,
    }


def _missing_mj(circuit: Circuit) -> dict[str, int] | None:
    """By cause; None where nobody has counted any."""
    missing = circuit.total_missing()
    if missing is None:
        return None
    return {
        "start": missing.start_mj,
        "fault": missing.fault_mj,
        "move": missing.move_mj,
        "curtailment": missing.curtailment_mj,
        "refused": missing.refused_mj,
    }


def _missing_ms(circuit: Circuit) -> float | None:
    """For how long all of its power was missing, or as much as makes the same energy."""
    missing = circuit.total_missing()
    return missing.missing_mj / circuit.power_w if missing and circuit.power_w else None


def _router_ids(generation: Generation | None) -> tuple[str, ...]:
    return generation.route.router_ids if generation is not None else ()


def _link_ids(generation: Generation | None) -> list[str]:
    return [each.link_id for each in generation.route.links] if generation is not None else []


_CIRCUIT: dict[str, Callable[[ShownCircuit], object]] = {
    "circuit_id": lambda shown: shown.circuit.circuit_id,
    "request_id": lambda shown: shown.circuit.request_id,
    "state": lambda shown: shown.circuit.state.value,
    "reason": lambda shown: shown.circuit.reason,
    "source_id": lambda shown: shown.working.route.source_id if shown.working else "",
    "sink_id": lambda shown: shown.circuit.sink_id,
    "router_ids": lambda shown: _router_ids(shown.working),
    "link_ids": lambda shown: _link_ids(shown.working),
    "power_w": lambda shown: shown.circuit.power_w,
    "injected_w": lambda shown: shown.working.route.injected_w if shown.working else 0.0,
    "loss_fraction": lambda shown: shown.working.route.loss_fraction if shown.working else 0.0,
    "generation": lambda shown: shown.circuit.last_generation,
    "setup_priority": lambda shown: shown.circuit.setup_priority,
    "hold_priority": lambda shown: shown.circuit.priority,
    "floor_w": lambda shown: shown.circuit.floor_w,
    "curtailed": lambda shown: _curtailed(shown.circuit),
    "protect": lambda shown: shown.circuit.guard.against,
    "dedicated": lambda shown: shown.circuit.guard.dedicated,
    "protection": lambda shown: shown.circuit.guard.word,
    "protection_reason": lambda shown: shown.circuit.guard.reason,
    "standby_router_ids": lambda shown: _router_ids(shown.standby),
    "standby_link_ids": lambda shown: _link_ids(shown.standby),
    "missing_ms": lambda shown: _missing_ms(shown.circuit),
    "missing_mj": lambda shown: _missing_mj(shown.circuit),
    "interruptions": lambda shown: shown.circuit.interruptions,
    "last_interruption_ms": lambda shown: shown.circuit.last_interruption_ns / NS_PER_MS,
    "created_unix_ms": lambda shown: shown.circuit.created_unix_ns // NS_PER_MS,
    "changed_unix_ms": lambda shown: shown.circuit.changed_unix_ns // NS_PER_MS,
}

# By what their rows are called in the stream.
COLUMNS: dict[str, tuple[str, ...]] = {
    "routers": tuple(_ROUTER),
    "links": tuple(_LINK),
    "sources": tuple(_SOURCE),
    "loads": tuple(_LOAD),
    "circuits": tuple(_CIRCUIT),
}
TABLES = {Kind.ROUTER: "routers", Kind.LINK: "links", Kind.SOURCE: "sources", Kind.LOAD: "loads"}


def picture_row(picture: Picture) -> bytes:
    """As JSON."""
    match picture:
        case RouterPicture():
            return _encode([of(picture) for of in _ROUTER.values()])
        case LinkPicture():
            return _encode([of(picture) for of in _LINK.values()])
        case SourcePicture():
            return _encode([of(picture) for of in _SOURCE.values()])
        case LoadPicture():
            return _encode([of(picture) for of in _LOAD.values()])


def circuit_row(circuit: Circuit) -> bytes:
    """As JSON."""
    shown = ShownCircuit(circuit, shown_generation(circuit), circuit.standby())
    return _encode([of(shown) for of in _CIRCUIT.values()])


_DELIVERING = frozenset({CircuitState.ACTIVE, CircuitState.DEGRADED, CircuitState.REROUTING})


def reserved_power(circuit: Circuit) -> tuple[float, float]:
    """What is injected for a circuit that has power, and delivered to it, as reserved (W)."""
    carrying = circuit.carrying() if circuit.state in _DELIVERING else None
    if carrying is None:
        return 0.0, 0.0
    route = carrying.route
    granted_w = route.power_w
    if circuit.curtailed is not None:
        granted_w = min(granted_w, circuit.curtailed.granted_w)
    return route.injected_w * granted_w / route.power_w, granted_w
