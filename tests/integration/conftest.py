"""A controller that remembers what it was asked and answers what the test told it to, over real gRPC."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1 import northbound_pb2_grpc as services
from tests.support import fake_market
from tests.support.fake_market import FakeMarket


def circuit(circuit_id: int = 7, state: int = pb.CIRCUIT_STATE_ACTIVE, **more: Any) -> pb.Circuit:
    return pb.Circuit(
        circuit_id=circuit_id,
        request_id="req-1",
        state=pb.CircuitState.ValueType(state),
        source_id="pv1",
        sink_id="town",
        router_ids=["r1", "r3"],
        links=[
            pb.PathLink(
                link_id="r1-r3",
                from_router_id="r1",
                to_router_id="r3",
                sent_w=2.05e6,
                received_w=2.02e6,
                current_a=101.0,
            )
        ],
        power_w=2e6,
        injected_w=2.1e6,
        loss_fraction=0.0476,
        **more,
    )


def no_capacity() -> status_pb2.Status:
    """How the controller refuses what no cut can carry."""
    status = status_pb2.Status(
        code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="links r1-r3 are full"
    )
    request = error_details_pb2.BadRequest()
    request.field_violations.add(field="power_w", description="more than the network can carry")
    info = error_details_pb2.ErrorInfo(
        reason="INSUFFICIENT_CAPACITY",
        domain="digitalgrid",
        metadata={"bottleneck_links": "r1-r3", "missing_w": "1200000.0"},
    )
    for detail in (request, info):
        status.details.add().Pack(detail)
    return status


@dataclass
class FakeController(
    services.PowerServiceServicer,
    services.OptimisationServiceServicer,
    services.TopologyServiceServicer,
    services.OperationsServiceServicer,
):
    """Answers every call with the message under its name; refuses all while ``refusal`` is set."""

    answers: dict[str, Any] = field(default_factory=dict)
    refusal: status_pb2.Status | None = None
    # How many calls fail as if the connection had broken, before the next one is answered.
    outages: int = 0
    outage_code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    requests: list[Message] = field(default_factory=list)
    server: str = ""

    def answer(self, method: str, request: Message, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        if self.outages > 0:
            self.outages -= 1
            context.abort(self.outage_code, "not now")
        if self.refusal is not None:
            context.abort_with_status(rpc_status.to_status(self.refusal))
        return self.answers[method]


def _unary(method: str) -> Any:
    def handler(self: FakeController, request: Message, context: grpc.ServicerContext) -> Any:
        return self.answer(method, request, context)

    return handler


def _stream(method: str) -> Any:
    def handler(
        self: FakeController, request: Message, context: grpc.ServicerContext
    ) -> Iterator[Any]:
        # A list ends the stream after its items; a generator decides for itself, and may break it off.
        try:
            yield from self.answer(method, request, context)
        except ConnectionError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    return handler


for _method in (
    "RequestPower",
    "BatchRequestPower",
    "ComputePower",
    "ComputePaths",
    "Dispatch",
    "Reoptimise",
    "ChangeCircuit",
    "ReleaseCircuit",
    "ActivateCircuit",
    "GetCircuit",
    "ListCircuits",
    "ListRegisters",
    "GetTopology",
    "ReadMeters",
    "Reconcile",
    "ForgetRouter",
    "Drain",
    "Undrain",
    "PlaceRouters",
    "WhatIf",
    "ReadAudit",
):
    setattr(FakeController, _method, _unary(_method))
for _method in ("WatchCircuits", "WatchTopology", "WatchEvents"):
    setattr(FakeController, _method, _stream(_method))


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController()
    server = grpc.server(ThreadPoolExecutor(4))
    services.add_PowerServiceServicer_to_server(fake, server)
    services.add_OptimisationServiceServicer_to_server(fake, server)
    services.add_TopologyServiceServicer_to_server(fake, server)
    services.add_OperationsServiceServicer_to_server(fake, server)
    fake.server = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield fake
    server.stop(grace=None).wait(5)


@pytest.fixture
def market() -> Iterator[FakeMarket]:
    """A market that answers every call about one trade."""
    with fake_market.served() as fake:
        yield fake


@pytest.fixture
def unreachable_server() -> Iterator[str]:
    """An address that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def make_circuit() -> Any:
    return circuit


@pytest.fixture
def refusal() -> status_pb2.Status:
    return no_capacity()
