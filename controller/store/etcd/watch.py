"""A watch at one endpoint of etcd, with a heartbeat: it cannot fall silent unnoticed."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import StoreError

_PATH = "/etcdserverpb.Watch/Watch"
# Heartbeat (s): how often an endpoint is asked for its progress, which it answers at once. TCP alone would not tell of
# one that hangs. Three heartbeats and a round trip without an answer end the watch.
_PROGRESS_EVERY_S = 0.3
_SILENCE_S = 1.2


class Compacted(StoreError):
    """The revisions that the watch was to tell are gone, or never were; what is there must be read anew."""


class WatchStream:
    """Iterates over responses with events, or that say how far the watch is. Ends by an exception, or by ``cancel``."""

    def __init__(
        self,
        channel: grpc.Channel,
        metadata: tuple[tuple[str, str], ...],
        create: pb.WatchCreateRequest,
        failed: Callable[[str], StoreError],
    ) -> None:
        self._failed = failed
        self._ended = threading.Event()
        self._cancelled = False
        # Silence counts only while somebody listens: the listener may take as long as it likes.
        self._listening_since_s: float | None = None
        self._silent = False
        self._call: Any = channel.stream_stream(
            _PATH,
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )(self._requests(create), metadata=metadata)

    def cancel(self) -> None:
        """End the iteration, from any thread."""
        self._cancelled = True
        self._ended.set()
        self._call.cancel()

    def __iter__(self) -> Iterator[pb.WatchResponse]:
        try:
            while True:
                self._listening_since_s = time.monotonic()
                response: pb.WatchResponse = next(self._call)
                self._listening_since_s = None
                if response.compact_revision:
                    raise Compacted(
                        f"etcd has compacted all before revision {response.compact_revision}"
                    )
                if response.canceled:
                    raise self._failed(f"the watch was refused: {response.cancel_reason}")
                # Answers to progress requests (watch id -1) may overtake events, so they only prove life.
                if response.watch_id >= 0 and not response.created:
                    yield response
        except StopIteration as error:
            raise self._failed("the watch has ended") from error
        except grpc.RpcError as error:
            if self._cancelled:
                return
            silent = f"silent for {_SILENCE_S} s" if self._silent else str(error.details())
            raise self._failed(f"the watch has ended: {silent}") from error
        finally:
            self._ended.set()
            self._call.cancel()

    def _requests(self, create: pb.WatchCreateRequest) -> Iterator[pb.WatchRequest]:
        """Runs in a thread of gRPC's, which keeps the time too."""
        yield pb.WatchRequest(create_request=create)
        while not self._ended.wait(_PROGRESS_EVERY_S):
            since_s = self._listening_since_s
            if since_s is None:
                continue
            if time.monotonic() - since_s > _SILENCE_S:
                self._silent = True
                self._call.cancel()
                return
            yield pb.WatchRequest(progress_request=pb.WatchProgressRequest())
