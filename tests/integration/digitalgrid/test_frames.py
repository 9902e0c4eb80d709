"""Frames of what a real controller answers."""

import math

import pytest

from digitalgrid.client import power_request
from digitalgrid.frames import circuits_frame, meters_frame, topology_frames
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import in_loop, northbound


@in_loop
async def test_circuits_topology_and_meters_are_frames_by_their_ids() -> None:
    async with northbound() as api:
        request = power_request("town", 2e6, source_ids=["solar"], request_id="lunch")
        (circuit,) = (await api.client.request_power(request)).circuits
        await api.client.wait_until_active([circuit.circuit_id])
        circuits = circuits_frame((await api.client.list_circuits()).circuits)
        row = circuits.loc[circuit.circuit_id]
        assert (row.request_id, row.state, row.hops, row.power_w) == ("lunch", "ACTIVE", 2, 2e6)
        assert row.path == ("r1", "r2", "r4")
        assert row.lost_w == pytest.approx(row.injected_w * row.loss_fraction)
        # Nobody counts: that is not nothing.
        assert math.isnan(row.missing_s)

        network = topology_frames(await api.client.get_topology())
        assert list(network.routers.index) == ["r1", "r2", "r3", "r4"]
        assert network.links.loc["r1-r2"].circuits == 1
        assert network.links.used.max() == pytest.approx(
            (network.links.reserved_a_to_b_a / network.links.ampacity_a).max()
        )
        assert network.sources.loc["solar"].reserved_w == pytest.approx(row.injected_w)
        assert network.loads.reserved_w.sum() == 2e6
        assert network.routers.profile_id.unique().tolist() == ["dgr"]
        assert network.routers.max_through_w.isna().all()

        await api.client.drain(pb.DrainRequest(id="r1-r3"))
        links = topology_frames(await api.client.get_topology()).links
        assert links.admin.to_dict() == dict.fromkeys(links.index, "") | {"r1-r3": "DRAINED"}
        assert links.down_cause.unique().tolist() == [""]

        meters = meters_frame(await api.client.read_meters())
        assert meters.converter_loss_j.to_dict() == {"r1": 0.007}


def test_frames_of_nothing_have_their_columns_all_the_same() -> None:
    assert "power_w" in circuits_frame([]).columns
    assert "used" in topology_frames(pb.Topology()).links.columns
    assert meters_frame(pb.ReadAllMetersResponse()).empty
