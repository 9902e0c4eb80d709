"""What a controller answers to dgctl in tests: a network of two routers, and what becomes of it."""

from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2

TOPOLOGY = pb.Topology(
    lsdb_version=3,
    routers=[
        pb.RouterState(router_id="r1", connected=True, efficiency=0.97),
        pb.RouterState(router_id="r3"),
    ],
    links=[
        pb.LinkState(
            link_id="r1-r3",
            a_router_id="r1",
            b_router_id="r3",
            up=True,
            resistance_ohm=0.48,
            voltage_v=20e3,
            ampacity_a=300,
            reserved_a_to_b_a=101,
            circuit_ids=[7],
        )
    ],
    sources=[pb.SourceState(source_id="pv1", router_id="r1", max_power_w=15e6, reserved_w=2.1e6)],
    loads=[pb.LoadState(load_id="town", router_id="r3", max_power_w=5e6, reserved_w=2e6)],
)
DRAINING = pb.AdminWord(
    state=pb.ADMIN_STATE_DRAINING,
    since_unix_ns=1_800_000_000 * 10**9,
    give_up_unix_ns=1_800_000_600 * 10**9,
    blocks=[pb.DrainBlock(circuit_id=7, text="no other path has room now")],
    block_count=3,
)
WHAT_IF = pb.WhatIfResponse(
    consequences=[
        pb.Consequence(
            circuit_id=7,
            sink_id="town",
            power_w=2e6,
            outcome=pb.OUTCOME_MOVES,
            from_router_ids=["r1", "r3"],
            to_router_ids=["r1", "r2", "r3"],
            loss_before=0.05,
            loss_after=0.07,
        ),
        pb.Consequence(
            circuit_id=8,
            sink_id="mill",
            power_w=1e6,
            outcome=pb.OUTCOME_WAITS,
            from_router_ids=["r1", "r3"],
            loss_before=0.05,
            text="held up by r2-r3",
        ),
    ],
    circuits=5,
)
METERS = pb.ReadAllMetersResponse(
    meters=[
        power_link_pb2.RouterMeters(
            router_id="r1",
            converter_loss_mj=63_000_000,
            sources=[power_link_pb2.SourceMeter(source_id="pv1", injected_mj=2_100_000_000)],
        ),
        power_link_pb2.RouterMeters(
            router_id="r3",
            loads=[
                power_link_pb2.LoadMeter(load_id="town", delivered_mj=1_500_000_000),
                power_link_pb2.LoadMeter(load_id="moved", delivered_mj=500_000_000, former=True),
            ],
        ),
    ],
    missing_router_ids=["r4"],
)


def rows(table: str) -> list[str]:
    """A table's lines, without the space between its columns."""
    return [" ".join(line.split()) for line in table.splitlines()]
