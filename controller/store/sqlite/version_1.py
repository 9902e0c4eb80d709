"""Records as schema version 1 held them, JSON by names of fields; the types stay as they were then."""

from dataclasses import dataclass

import msgspec

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import CircuitRecord, GenerationRecord
from controller.core.circuits.route import Route, RouteLink
from controller.store.protocol import StoreError
from controller.store.records_codec import require_sense


@dataclass(frozen=True, slots=True)
class _Link:
    link_id: str
    from_router_id: str
    to_router_id: str
    sent_w: float
    received_w: float
    current_a: float
    resistance_ohm: float
    voltage_v: float


@dataclass(frozen=True, slots=True)
class _Route:
    source_id: str
    sink_id: str
    router_ids: tuple[str, ...]
    links: tuple[_Link, ...]
    entering_w: tuple[float, ...]
    power_w: float
    efficiency: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Generation:
    generation: int
    admission_seq: int
    route: _Route
    retiring: bool
    freed_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Constraints:
    max_loss_fraction: float | None = None
    max_hops: int | None = None
    avoid_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Circuit:
    circuit_id: int
    request_id: str
    request_fingerprint: str
    sink_id: str
    source_ids: tuple[str, ...]
    constraints: _Constraints
    power_w: float
    priority: int
    admin_up: bool
    last_generation: int
    ended_as: str
    generations: tuple[_Generation, ...]


_decoder = msgspec.json.Decoder(_Circuit)


def read_circuit(data: bytes) -> CircuitRecord:
    """The record as it is today; StoreError where it is damaged."""
    try:
        old = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a circuit of schema version 1: {error}") from error
    wanted = old.constraints
    record = CircuitRecord(
        circuit_id=old.circuit_id,
        request_id=old.request_id,
        request_fingerprint=old.request_fingerprint,
        sink_id=old.sink_id,
        source_ids=old.source_ids,
        constraints=Constraints(wanted.max_loss_fraction, wanted.max_hops, wanted.avoid_ids),
        power_w=old.power_w,
        priority=old.priority,
        admin_up=old.admin_up,
        last_generation=old.last_generation,
        ended_as=old.ended_as,
        generations=tuple(map(_generation, old.generations)),
    )
    require_sense(record)
    return record


def _generation(old: _Generation) -> GenerationRecord:
    route = Route(
        source_id=old.route.source_id,
        sink_id=old.route.sink_id,
        router_ids=old.route.router_ids,
        links=tuple(map(_link, old.route.links)),
        entering_w=old.route.entering_w,
        power_w=old.route.power_w,
        efficiency=old.route.efficiency,
    )
    return GenerationRecord(old.generation, old.admission_seq, route, old.retiring, old.freed_ids)


def _link(old: _Link) -> RouteLink:
    return RouteLink(
        link_id=old.link_id,
        from_router_id=old.from_router_id,
        to_router_id=old.to_router_id,
        sent_w=old.sent_w,
        received_w=old.received_w,
        current_a=old.current_a,
        resistance_ohm=old.resistance_ohm,
        voltage_v=old.voltage_v,
    )
