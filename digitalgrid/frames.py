"""Frames: answers of the controller as tables of pandas, for studies and notebooks (the extra ``frames``).

Columns are called as the fields of the API are, so units stand in their names; energies are in joules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from digitalgrid.client import missing_ms
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import DownCause, RouterMeters

try:
    import pandas as pd
except ImportError as error:
    raise ImportError(
        "digitalgrid.frames needs pandas: pip install 'digitalgrid[frames]'"
    ) from error


@dataclass(frozen=True, slots=True)
class TopologyFrames:
    """The network, a frame each; indexed by ids."""

    routers: pd.DataFrame
    links: pd.DataFrame
    sources: pd.DataFrame
    loads: pd.DataFrame


def circuits_frame(circuits: Iterable[pb.Circuit]) -> pd.DataFrame:
    """A row a circuit, by ``circuit_id``; ``path`` are router ids, ``missing_s`` seconds of its whole power."""
    return _frame("circuit_id", _CIRCUIT_COLUMNS, (_circuit(each) for each in circuits))


def topology_frames(topology: pb.Topology) -> TopologyFrames:
    """What there is and what is reserved on it; ``used`` is the share of a line's ampacity, both ways together.

    ``admin`` is what operators say of a line or router, ``down_cause`` why a line is not up; empty where nobody says.
    """
    return TopologyFrames(
        _frame("router_id", _ROUTER_COLUMNS, map(_router, topology.routers)),
        _frame("link_id", _LINK_COLUMNS, map(_link, topology.links)),
        _frame("source_id", _SOURCE_COLUMNS, map(_source, topology.sources)),
        _frame("load_id", _LOAD_COLUMNS, map(_load, topology.loads)),
    )


def meters_frame(answer: pb.ReadAllMetersResponse) -> pd.DataFrame:
    """The energy books of each router that answered, by ``router_id``, in joules since it began to count."""
    return _frame("router_id", _METER_COLUMNS, map(_meters, answer.meters))


def _frame(index: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame.from_records(list(rows), columns=(index, *columns)).set_index(index)


_CIRCUIT_COLUMNS = (
    *("request_id", "state", "source_id", "sink_id", "path", "hops"),
    *("power_w", "injected_w", "lost_w", "loss_fraction", "granted_w", "floor_w"),
    *("hold_priority", "protection", "interruptions", "missing_s", "power_after_s", "reason"),
)


def _circuit(circuit: pb.Circuit) -> tuple[Any, ...]:
    missing = missing_ms(circuit)
    after_ns = circuit.timings.actuated_after_ns
    curtailed = circuit.HasField("curtailed")
    return (
        circuit.circuit_id,
        circuit.request_id,
        pb.CircuitState.Name(circuit.state).removeprefix("CIRCUIT_STATE_"),
        circuit.source_id,
        circuit.sink_id,
        tuple(circuit.router_ids),
        len(circuit.links),
        circuit.power_w,
        circuit.injected_w,
        circuit.injected_w - circuit.power_w,
        circuit.loss_fraction,
        circuit.curtailed.granted_w if curtailed else circuit.power_w,
        circuit.floor_w,
        circuit.hold_priority,
        pb.Protection.Name(circuit.protection).removeprefix("PROTECTION_")
        if circuit.protect
        else "",
        circuit.interruptions,
        float("nan") if missing is None else sum(missing.values()) / 1000,
        after_ns / NS_PER_S if after_ns else float("nan"),
        circuit.reason,
    )


_ROUTER_COLUMNS = (
    *("connected", "efficiency", "late_ms", "x", "y"),
    *("profile_id", "max_through_w", "reserved_through_w", "admin"),
)


def _router(router: pb.RouterState) -> tuple[Any, ...]:
    placed = router.HasField("at")
    x, y = (router.at.x, router.at.y) if placed else (float("nan"), float("nan"))
    limited = router.profile.HasField("max_through_w")
    return (
        router.router_id,
        router.connected,
        router.efficiency,
        router.late_ms,
        x,
        y,
        router.profile.profile_id,
        router.profile.max_through_w if limited else float("nan"),
        router.reserved_through_w if limited else float("nan"),
        _admin(router.admin),
    )


def _admin(word: pb.AdminWord) -> str:
    return pb.AdminState.Name(word.state).removeprefix("ADMIN_STATE_") if word.state else ""


_LINK_COLUMNS = (
    *("a_router_id", "b_router_id", "up", "resistance_ohm", "voltage_v", "ampacity_a"),
    *("reserved_a_to_b_a", "reserved_b_to_a_a", "used", "circuits", "admin", "down_cause"),
)


def _link(link: pb.LinkState) -> tuple[Any, ...]:
    reserved_a = link.reserved_a_to_b_a + link.reserved_b_to_a_a
    return (
        link.link_id,
        link.a_router_id,
        link.b_router_id,
        link.up,
        link.resistance_ohm,
        link.voltage_v,
        link.ampacity_a,
        link.reserved_a_to_b_a,
        link.reserved_b_to_a_a,
        reserved_a / link.ampacity_a if link.ampacity_a else float("nan"),
        len(link.circuit_ids),
        _admin(link.admin),
        DownCause.Name(link.down_cause).removeprefix("DOWN_CAUSE_") if link.down_cause else "",
    )


_SOURCE_COLUMNS = (
    *("router_id", "max_power_w", "reserved_w", "cost_per_mwh", "renewable"),
    "carbon_kg_per_mwh",
)


def _source(source: pb.SourceState) -> tuple[Any, ...]:
    return (
        source.source_id,
        source.router_id,
        source.max_power_w,
        source.reserved_w,
        source.cost_per_mwh,
        source.renewable,
        source.carbon_kg_per_mwh,
    )


_LOAD_COLUMNS = ("router_id", "max_power_w", "reserved_w", "priority", "value_per_mwh")


def _load(load: pb.LoadState) -> tuple[Any, ...]:
    return (
        load.load_id,
        load.router_id,
        load.max_power_w,
        load.reserved_w,
        load.priority,
        load.value_per_mwh,
    )


_METER_COLUMNS = (
    *("injected_j", "delivered_j", "line_loss_j", "converter_loss_j", "dissipated_j"),
    *("buffered_j", "lost_to_faults_j", "lost_in_transit_j", "oversubscribed_instants"),
)


def _meters(meters: RouterMeters) -> tuple[Any, ...]:
    energies_mj = (
        sum(source.injected_mj for source in meters.sources),
        sum(load.delivered_mj for load in meters.loads),
        sum(link.line_loss_mj for link in meters.links),
        meters.converter_loss_mj,
        meters.dissipated_mj,
        meters.buffered_mj,
        sum(link.lost_to_faults_mj for link in meters.links),
        sum(link.lost_in_transit_mj for link in meters.links),
    )
    energies_j = (each / MILLIJOULES_PER_J for each in energies_mj)
    return (meters.router_id, *energies_j, meters.oversubscribed_instants)
