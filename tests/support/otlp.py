"""A collector of traces on loopback: what it takes over gRPC, by trace."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc

from tests.support.patience import PATIENCE_S


@dataclass(frozen=True)
class Seen:
    """A span as the collector got it, with the service and the instance that made it."""

    service: str
    instance: str
    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    links: tuple[bytes, ...]
    attributes: dict[str, str]
    begun_ns: int
    ended_ns: int
    failed: bool


class Collector(pb_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self._spans: list[Seen] = []
        self._news = threading.Condition()
        self.address = ""

    def Export(
        self, request: pb.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportTraceServiceResponse:
        with self._news:
            for each in request.resource_spans:
                made_by = {a.key: a.value.string_value for a in each.resource.attributes}
                for scope in each.scope_spans:
                    self._spans += [_seen(span, made_by) for span in scope.spans]
            self._news.notify_all()
        return pb.ExportTraceServiceResponse()

    def until(self, enough: Callable[[list[Seen]], bool]) -> list[Seen]:
        """All spans, once they are enough."""
        with self._news:
            if not self._news.wait_for(lambda: enough(self._spans), PATIENCE_S):
                said = sorted(
                    (s.trace_id.hex(), s.service, s.instance, s.name) for s in self._spans
                )
                raise AssertionError("\n".join(map(str, said)))
            return list(self._spans)


def _seen(span: object, made_by: dict[str, str]) -> Seen:
    attributes = {
        a.key: a.value.string_value or str(a.value.int_value)
        for a in span.attributes  # type: ignore[attr-defined]
    }
    return Seen(
        made_by["service.name"],
        made_by.get("service.instance.id", ""),
        span.name,  # type: ignore[attr-defined]
        span.trace_id,  # type: ignore[attr-defined]
        span.span_id,  # type: ignore[attr-defined]
        span.parent_span_id,  # type: ignore[attr-defined]
        tuple(link.trace_id for link in span.links),  # type: ignore[attr-defined]
        attributes,
        span.start_time_unix_nano,  # type: ignore[attr-defined]
        span.end_time_unix_nano,  # type: ignore[attr-defined]
        span.status.code == span.status.STATUS_CODE_ERROR,  # type: ignore[attr-defined]
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    pb_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
