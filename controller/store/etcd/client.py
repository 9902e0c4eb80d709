"""A blocking client of an etcd cluster: every call has a deadline, and goes on to the next endpoint where one fails."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grpc

from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.watch import WatchStream
from controller.store.protocol import StoreError
from digitalgrid.channels import blocking_channel, proxy_note

# A member that has lost its quorum must say so at once, instead of waiting for its return.
_METADATA = (("hasleader", "true"),)
# Statuses after which the next endpoint is tried. What is sent again may be done twice, so it must be idempotent.
_TRY_NEXT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}
# In the code that also says that its disk is full, which does not pass.
_OVERLOADED = "too many requests"
_FULL = "database space exceeded"
_COMPACTED = "required revision has been compacted"
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    # Endpoints come back at any time, and connecting must never take long where all are on one site.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # etcd closes connections that ping more often than every 5 s. Silence within calls is noticed by their deadlines,
    # and within watches by progress requests, both far sooner.
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.keepalive_timeout_ms", 1000),
    # What the Python library really goes by.
    ("grpc.http2.ping_timeout_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
)
# Deadline (s) of one attempt at one endpoint: several round trips, and a fraction of any caller's deadline.
_ATTEMPT_S = 1.0
# Pause (s) after every endpoint has failed, so that a cluster that is gone is not asked in a busy loop.
_ROUND_PAUSE_S = 0.05
# Keys in one answer: about 300 kB of records, far below gRPC's 4 MiB.
_PAGE_KEYS = 1000


class EtcdUnavailable(StoreError):
    """No endpoint has answered in time: what was asked for may or may not have been done."""


class EtcdRefused(StoreError):
    """etcd has answered that it does not do this."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class EtcdFull(EtcdRefused):
    """Its quota is used up: it takes no more until somebody has made room, and has said so."""

    def __init__(self, reason: str, code: grpc.StatusCode) -> None:
        super().__init__(
            f"etcd is full ({reason}), and takes nothing more until there is room:"
            " `etcdctl endpoint status -w json` tells its revision; then `etcdctl compact REVISION`,"
            " `etcdctl defrag --cluster` and `etcdctl alarm disarm`. A larger --quota-backend-bytes"
            " keeps it from coming again",
            code,
        )


class _Method(NamedTuple):
    path: str
    response: Any
    # A stream of which one request and its answer are used.
    streams: bool = False


_RANGE = _Method("/etcdserverpb.KV/Range", pb.RangeResponse)
_TXN = _Method("/etcdserverpb.KV/Txn", pb.TxnResponse)
_COMPACT = _Method("/etcdserverpb.KV/Compact", pb.CompactionResponse)
_GRANT = _Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
_REVOKE = _Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse)
_KEEP_ALIVE = _Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse, True)
_STATUS = _Method("/etcdserverpb.Maintenance/Status", pb.StatusResponse)


class EtcdClient:
    """Used from any thread. Calls stay with an endpoint for as long as it answers."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        if not endpoints:
            raise StoreError("etcd: no endpoint is given; name at least one as host:port")
        self.endpoints = tuple(endpoints)
        self._channels = [blocking_channel(each, _OPTIONS) for each in endpoints]
        self._current = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def range(self, request: pb.RangeRequest, timeout_s: float = 5.0) -> pb.RangeResponse:
        response: pb.RangeResponse = self._call(_RANGE, request, timeout_s)
        return response

    def pages(
        self, start: bytes, end: bytes, revision: int, timeout_s: float = 5.0
    ) -> Iterator[pb.KeyValue]:
        """Every key from ``start`` up to ``end`` as it was at a revision, in order."""
        while True:
            page = self.range(
                pb.RangeRequest(key=start, range_end=end, limit=_PAGE_KEYS, revision=revision),
                timeout_s,
            )
            yield from page.kvs
            if not page.more:
                return
            start = page.kvs[-1].key + b"\0"

    def txn(self, request: pb.TxnRequest, timeout_s: float = 5.0) -> pb.TxnResponse:
        """A transaction. It is retried where an attempt is not answered, so it must compare what it presupposes."""
        response: pb.TxnResponse = self._call(_TXN, request, timeout_s)
        return response

    def compact(self, revision: int, timeout_s: float = 5.0) -> None:
        """Forget every revision before this one; idempotent."""
        try:
            self._call(_COMPACT, pb.CompactionRequest(revision=revision), timeout_s)
        except EtcdRefused as error:
            if _COMPACTED not in str(error):
                raise

    def grant(self, ttl_s: int, timeout_s: float = 5.0) -> pb.LeaseGrantResponse:
        # Of several attempts all but one may leave a lease behind, which nobody keeps alive.
        response: pb.LeaseGrantResponse = self._call(
            _GRANT, pb.LeaseGrantRequest(ttl_s=ttl_s, id=0), timeout_s
        )
        return response

    def keep_alive(self, lease_id: int, timeout_s: float) -> int:
        """The TTL in seconds that the lease has from now, 0 where it is gone. One attempt, at a known time."""
        response: pb.LeaseKeepAliveResponse = self._attempt(
            self._current, _KEEP_ALIVE, pb.LeaseKeepAliveRequest(id=lease_id), timeout_s
        )
        return response.ttl_s

    def revoke(self, lease_id: int, timeout_s: float = 5.0) -> None:
        """Revoke a lease, with the keys that hang on it; idempotent."""
        try:
            self._call(_REVOKE, pb.LeaseRevokeRequest(id=lease_id), timeout_s)
        except EtcdRefused as error:
            if error.code != grpc.StatusCode.NOT_FOUND:
                raise

    def status(self, endpoint: str, timeout_s: float = 1.0) -> pb.StatusResponse:
        """How one endpoint sees its cluster, also when it is cut off from it."""
        index = self.endpoints.index(endpoint)
        response: pb.StatusResponse = self._attempt(index, _STATUS, pb.StatusRequest(), timeout_s)
        return response

    def status_here(self) -> pb.StatusResponse:
        """How the endpoint sees its cluster that calls go to by now."""
        return self.status(self.endpoints[self._current])

    def watch(self, start: bytes, end: bytes, revision: int) -> WatchStream:
        """What changes from ``start`` up to ``end``, from a revision on, as one endpoint tells it."""
        index = self._current
        return WatchStream(
            self._channels[index],
            _METADATA,
            pb.WatchCreateRequest(
                key=start, range_end=end, start_revision=revision, progress_notify=True
            ),
            lambda reason: self._failed(index, reason),
        )

    def close(self) -> None:
        """End all calls; those under way raise EtcdUnavailable."""
        self._closing.set()
        for channel in self._channels:
            channel.close()

    def _call(self, method: _Method, request: Any, timeout_s: float) -> Any:
        deadline_s = time.monotonic() + timeout_s
        tried: dict[str, str] = {}
        attempts = 0
        while True:
            index = self._current
            left_s = deadline_s - time.monotonic()
            try:
                return self._attempt(index, method, request, max(0.001, min(_ATTEMPT_S, left_s)))
            except EtcdUnavailable as error:
                tried[self.endpoints[index]] = str(error)
            attempts += 1
            if attempts % len(self.endpoints) == 0:
                self._closing.wait(_ROUND_PAUSE_S)
            if self._closing.is_set() or time.monotonic() >= deadline_s:
                # In their own order, so that the same trouble reads the same.
                reasons = "; ".join(tried[each] for each in self.endpoints if each in tried)
                raise EtcdUnavailable(
                    f"etcd has not answered {method.path} within {timeout_s:.1f} s: {reasons}. See"
                    " that a majority of its members runs and can be reached from here"
                )

    def _attempt(self, index: int, method: _Method, request: Any, timeout_s: float) -> Any:
        try:
            return _once(self._channels[index], method, request, timeout_s)
        except grpc.RpcError as error:
            endpoint = self.endpoints[index]
            reason = f"{endpoint}: {error.details()}{proxy_note(endpoint)}"
            if _FULL in reason:
                raise EtcdFull(reason, error.code()) from error
            if error.code() not in _TRY_NEXT and _OVERLOADED not in reason:
                raise EtcdRefused(
                    f"etcd refuses {method.path}: {reason} ({error.code().name})", error.code()
                ) from error
            raise self._failed(index, reason) from error
        except StopIteration as error:
            reason = f"{self.endpoints[index]}: {method.path} has ended without an answer"
            raise self._failed(index, reason) from error
        except ValueError as error:
            # The only sign that gRPC gives of a channel that was closed before the call.
            if not self._closing.is_set():
                raise
            raise EtcdUnavailable(f"{self.endpoints[index]}: the client is closed") from error

    def _failed(self, index: int, reason: str) -> EtcdUnavailable:
        """Go on to the next endpoint, if no other thread has done so."""
        with self._lock:
            if self._current == index:
                self._current = (index + 1) % len(self.endpoints)
        return EtcdUnavailable(reason)


def _once(channel: grpc.Channel, method: _Method, request: Any, timeout_s: float) -> Any:
    kind = channel.stream_stream if method.streams else channel.unary_unary
    call = kind(
        method.path,
        request_serializer=type(request).SerializeToString,
        response_deserializer=method.response.FromString,
    )
    if not method.streams:
        return call(request, timeout=timeout_s, metadata=_METADATA)
    return next(call(iter((request,)), timeout=timeout_s, metadata=_METADATA))
