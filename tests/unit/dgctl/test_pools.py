"""Pools of shared standbys, as people read them beside the meters."""

import io

from dgctl.tables import render
from digitalgrid.columns import parts_text
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import power_link_pb2


def shown(*links: power_link_pb2.LinkMeter) -> str:
    meters = power_link_pb2.RouterMeters(router_id="r3", links=links)
    return parts_text(render(pb.ReadAllMetersResponse(meters=[meters])), io.StringIO())


def test_each_line_with_a_pool_shows_what_is_used_and_wanted_of_it() -> None:
    text = shown(
        power_link_pb2.LinkMeter(link_id="r3-r5"),
        power_link_pb2.LinkMeter(
            link_id="r3-r4", pool_mw=2 * 10**9, pool_used_mw=2 * 10**9, pool_wanted_mw=3 * 10**9
        ),
    )
    (row,) = (line for line in text.splitlines() if "r3-r4" in line)
    assert row.split() == ["r3-r4", "r3", "2", "MW", "2", "MW", "3", "MW"]
    assert "r3-r5" not in text


def test_without_pools_nothing_is_said_of_them() -> None:
    assert "pools" not in shown(power_link_pb2.LinkMeter(link_id="r3-r5"))
