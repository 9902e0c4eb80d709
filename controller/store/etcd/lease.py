"""An etcd lease with its keepalive thread. It tells by its own clock when it can no longer be relied on."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from controller.store.etcd.client import EtcdClient, EtcdRefused, EtcdUnavailable
from digitalgrid.supervision import start_thread_once

_log = logging.getLogger(__name__)

# Share of the TTL that is not relied on: etcd's clock may run faster, and after ``may_act`` comes the act.
_MARGIN = 0.1
# Keepalives in one TTL: three answers may be lost.
_KEEP_ALIVES_PER_TTL = 4
_RETRY_PAUSE_S = 0.02
# Keepalives of which it is remembered what was left: of some TTLs, longer than Prometheus needs to look.
_REMEMBERED = 64


# While this machine sleeps etcd's clock goes on, and so does this one, where the platform has it.
_CLOCK_ID: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time_s() -> float:
    """The monotonic clock, with the time that the machine has slept."""
    return time.clock_gettime(_CLOCK_ID)


class Lease:
    """Lasts until its deadline by the monotonic clock: the time of *sending* the last keepalive that was answered,
    plus the TTL of the answer, less a margin. So etcd cannot have let go of it before.
    """

    def __init__(
        self, client: EtcdClient, ttl_s: int, clock_s: Callable[[], float] = boot_time_s
    ) -> None:
        self._client = client
        self._clock_s = clock_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        sent_s = clock_s()
        granted = client.grant(ttl_s)
        self.id: int = granted.id
        self._deadline_s = sent_s + granted.ttl_s * (1 - _MARGIN)
        # What etcd granted: it rounds up what is short beside its own election timeout.
        self._ttl_s: int = granted.ttl_s
        # What was left as each of the last keepalives was sent (s).
        self._left_s: deque[float] = deque(maxlen=_REMEMBERED)

    def left_s(self) -> float:
        """How long etcd certainly still has the lease; none left where it is not positive."""
        return self._deadline_s - self._clock_s()

    def least_left_s(self) -> float:
        """The least that was left lately, or is now: what a look every few seconds would miss."""
        return min((*self._left_s, self.left_s()))

    def renew(self, timeout_s: float) -> bool:
        """Keep it alive once. Whether etcd still has it; EtcdUnavailable where that is not known."""
        sent_s = self._clock_s()
        self._left_s.append(self._deadline_s - sent_s)
        ttl_s = self._client.keep_alive(self.id, timeout_s)
        if ttl_s > 0:
            self._deadline_s = sent_s + ttl_s * (1 - _MARGIN)
        return ttl_s > 0

    def keep(
        self,
        still_ours: Callable[[float], bool],
        on_lost: Callable[[str], None],
        is_responsive: Callable[[], bool] = lambda: True,
    ) -> None:
        """Keep it alive from now on. ``on_lost`` is called once, with a reason, from the lease's own thread: when the
        lease is gone or its deadline has passed, when what hangs on it is not ours any more, or when whoever has it
        hangs, which this thread would outlive.
        """
        self._thread = start_thread_once(
            "etcd-lease", partial(self._run, still_ours, on_lost, is_responsive)
        )

    def release(self, timeout_s: float = 5.0) -> None:
        """End the lease at etcd, with the keys on it. EtcdUnavailable where that is not known to have succeeded."""
        self.stop()
        self._client.revoke(self.id, timeout_s)

    def stop(self) -> None:
        self._stopped.set()
        if self._thread not in (None, threading.current_thread()):
            self._thread.join()

    def _run(
        self,
        still_ours: Callable[[float], bool],
        on_lost: Callable[[str], None],
        is_responsive: Callable[[], bool],
    ) -> None:
        try:
            reason = self._keep(still_ours, is_responsive)
        except Exception as error:  # noqa: BLE001 - whatever it is, the term must end
            _log.critical("the lease's thread failed", exc_info=True)
            reason = f"the lease's thread failed: {error!r}"
        self._deadline_s = self._clock_s()
        if not self._stopped.is_set():
            on_lost(reason)

    def _keep(self, still_ours: Callable[[float], bool], is_responsive: Callable[[], bool]) -> str:
        """Returns why it has ended."""
        every_s = self._ttl_s / _KEEP_ALIVES_PER_TTL
        pause_s, trouble = every_s, "no answer"
        while not self._stopped.wait(pause_s):
            left_s = self.left_s()
            if left_s <= 0:
                return f"the lease could not be renewed within {self._ttl_s} s: {trouble}"
            if not is_responsive():
                return "this controller hangs"
            try:
                if not self.renew(min(every_s, left_s)):
                    return "the lease has expired at etcd"
                if not still_ours(every_s):
                    return "another leads, or the leader's key was deleted"
                pause_s = every_s
            except (EtcdUnavailable, EtcdRefused) as error:
                pause_s, trouble = _RETRY_PAUSE_S, str(error)
        return "released"
