"""Nonsense in a router's session ends that session and nothing else."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc
import pytest

from controller.southbound.codec import result_from_pb
from digitalgrid.channels import asyncio_channel
from digitalgrid.v1 import power_link_pb2
from digitalgrid.v1 import southbound_pb2 as pb
from tests.support.patience import PATIENCE_S
from tests.support.southbound import (
    House,
    connect,
    hello,
    lsa,
    run,
)


def _hop(**fields: Any) -> pb.HopSnapshot:
    powers = dict.fromkeys(
        ("power_w", "ingress_power_w", "egress_power_w", "received_power_w"), 1e6
    )
    ends = {"source_id": "solar", "load_id": "town"}
    return pb.HopSnapshot(**({"circuit_id": 1, "generation": 1} | powers | ends | fields))


def _link(**fields: Any) -> power_link_pb2.LinkAdvertisement:
    values: dict[str, Any] = {"link_id": "r1-r2", "neighbor_id": "r2", "resistance_ohm": 0.1}
    values |= {"voltage_v": 20e3, "ampacity_a": 300.0}
    return power_link_pb2.LinkAdvertisement(**(values | fields))


def _status(**fields: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"circuit_id": 1, "state": pb.FLOW_STATE_ARRIVED}
    return {"status": pb.CircuitStatus(**(values | fields))}


def _lsa_of(*links: power_link_pb2.LinkAdvertisement) -> dict[str, Any]:
    return {
        "lsa": power_link_pb2.RouterLsa(
            router_id="r1", boot_id=1, seq=1, efficiency=0.97, links=links
        )
    }


def _of_profile(efficiency: float = 0.97, **limits: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"profile_id": "p", "addressed": True}
    profile = power_link_pb2.DeviceProfile(**(values | limits))
    message = power_link_pb2.RouterLsa(
        router_id="r1", boot_id=1, seq=1, efficiency=efficiency, links=[_link()], profile=profile
    )
    return {"lsa": message}


_CURVE = [
    power_link_pb2.EfficiencyPoint(share=share, efficiency=efficiency)
    for share, efficiency in ((0.1, 0.9), (1.0, 0.95))
]


def _broken_hop() -> pb.HopSnapshot:
    return pb.HopSnapshot(circuit_id=1, generation=1, power_w=float("nan"))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (lsa("r2"), "'r2' in the session of 'r1'"),
        (lsa(boot_id=2), "of boot 2; the session's hello said 1"),
        (hello(), "not expected"),
        (
            {"result": pb.TransactionResult(txn_id=1, operation=pb.Operation.ValueType(77))},
            "unknown",
        ),
        (_status(state=pb.FLOW_STATE_UNSPECIFIED), "unknown"),
        ({"table": pb.CircuitTable(hops=[_broken_hop()])}, "hop of circuit 1"),
        ({"table": pb.CircuitTable(hops=[_hop(power_w=float("inf"))])}, "power_w must be a finite"),
        ({"table": pb.CircuitTable(hops=[_hop(egress_power_w=-1.0)])}, "egress_power_w must be"),
        ({"table": pb.CircuitTable(hops=[_hop(source_id="r" * 10_000)])}, "must match"),
        ({"table": pb.CircuitTable(hops=[_hop(), _hop()])}, "stands there twice"),
        (_status(delivered_mw=-1), "delivered_mw must"),
        (_lsa_of(_link(resistance_ohm=float("nan"))), "resistance_ohm must be a finite number"),
        (_lsa_of(_link(resistance_ohm=-0.1)), "resistance_ohm must be 0 or more"),
        (_lsa_of(_link(voltage_v=0.0)), "voltage_v must be above 0"),
        (_lsa_of(_link(voltage_v=1e-300)), "voltage_v must be 0.001 or more"),
        (_lsa_of(_link(), _link()), "link_id 'r1-r2' stands there twice"),
        (_lsa_of(_link(risk_groups=[f"g{each}" for each in range(257)])), "257 risk_groups; 256"),
        (_of_profile(profile_id=""), "profile: 'id' is ''"),
        (_of_profile(max_through_w=0.0), "'max_through_w' is 0.0; it must be above 0"),
        (_of_profile(max_through_w=float("nan")), "'max_through_w' is nan; it must be finite"),
        (_of_profile(max_ports=0), "'max_ports' is 0; it must be at least 1"),
        (_of_profile(max_voltage_v=400.0), "voltage_v is 20000; ports of profile 'p' take 0 V to"),
        (_of_profile(addressed=False, packets=True), "packets are forwarded by addresses"),
        (_of_profile(efficiency_curve=_CURVE), "needs max_through_w"),
        (_of_profile(max_through_w=1e6, efficiency_curve=_CURVE), "efficiency is 0.97, and the"),
        (_of_profile(max_through_w=1e6, efficiency_curve=_CURVE[::-1]), "shares rising"),
        (_of_profile(max_through_w=1e6, efficiency_curve=_CURVE * 40), "points; 64 are"),
        ({"meters": pb.MetersReply(read_id=1)}, "read 1, which was never asked"),
        (_lsa_of(_link(neighbor_id="r1")), "neighbor_id is the router itself"),
        (_lsa_of(_link(link_id="x" * 100_000)), "must match"),
        (_lsa_of(*(_link(link_id=f"l{each}") for each in range(10_000))), "10000 links; 512"),
    ],
)
def test_nonsense_ends_the_session_and_nothing_else(
    tmp_path: Path, message: dict[str, Any], complaint: str
) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        await router.say(**message)
        code, details = await router.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert complaint in details
        await router.close()
        assert not here.runtime.failure.done()
        again = await connect(here, session_no=2)
        await again.close()

    run(tmp_path, story)


@pytest.mark.parametrize("greeted", [False, True])
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05abc"])
def test_bytes_that_are_no_message_end_the_session_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, greeted: bool
) -> None:
    async def story(here: House) -> None:
        async with asyncio_channel(here.address) as channel:
            call = channel.stream_stream("/digitalgrid.v1.SouthboundService/Session")()
            if greeted:
                await call.write(pb.RouterMessage(hello=hello()["hello"]).SerializeToString())
                await call.read()
            await call.write(data)
            async with asyncio.timeout(PATIENCE_S):
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert "are no message of the API" in await call.details()
        # Not asyncio's: grpc has one poller for the process, which at times still wakes an earlier test's loop.
        errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert [each for each in errors if each.name != "asyncio"] == []
        assert not here.runtime.failure.done()
        again = await connect(here, session_no=2)
        await again.close()

    run(tmp_path, story)


def test_a_message_that_is_far_too_large_ends_the_session_and_nothing_else(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        router = await connect(here)
        await router.say(result=pb.TransactionResult(txn_id=1, message="x" * 5_000_000))
        code, _ = await router.end()
        assert code is not grpc.StatusCode.OK
        await router.close()
        assert not here.runtime.failure.done()
        again = await connect(here, session_no=2)
        await again.close()

    run(tmp_path, story)


def test_a_long_reason_is_cut() -> None:
    said = pb.TransactionResult(
        txn_id=1,
        operation=pb.OPERATION_STAGE,
        code=pb.ResultCode.ValueType(7),
        entries=[pb.EntryResult(message="no" * 99)] * 99,
    )
    assert 500 <= len(result_from_pb(said).message) <= 503


def test_a_flood_of_violations_makes_few_lines_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: House) -> None:
        for number in range(1, 30):
            router = await connect(here, session_no=number)
            await router.say(**lsa(boot_id=2))
            await router.end()
            await router.close()

    run(tmp_path, story)
    assert len([each for each in caplog.records if "of boot 2" in each.getMessage()]) == 1
