import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from controller.store.etcd.client import EtcdUnavailable
from controller.store.etcd.lease import Lease
from controller.store.etcd.v3 import etcd_pb2 as pb
from tests.support.patience import PATIENCE_S

TTL_S = 1


class Clock:
    """Monotonic time as the test says."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class PlayedEtcd:
    """Answers keepalives as the test says, one by one; what happens while one is under way is a function."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.answers: queue.SimpleQueue[Callable[[], int]] = queue.SimpleQueue()
        self.asked = threading.Semaphore(0)
        self.revoked: list[int] = []

    def grant(self, ttl_s: int) -> pb.LeaseGrantResponse:
        # The answer was under way for 0.3 s.
        self._clock.now_s += 0.3
        return pb.LeaseGrantResponse(id=7, ttl_s=ttl_s)

    def keep_alive(self, lease_id: int, timeout_s: float) -> int:
        assert lease_id == 7
        assert timeout_s <= TTL_S
        self.asked.release()
        return self.answers.get(timeout=PATIENCE_S)()

    def revoke(self, lease_id: int, timeout_s: float) -> None:
        self.revoked.append(lease_id)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def etcd(clock: Clock) -> PlayedEtcd:
    return PlayedEtcd(clock)


@pytest.fixture
def lease(etcd: PlayedEtcd, clock: Clock) -> Iterator[Lease]:
    lease = Lease(etcd, TTL_S, clock)  # type: ignore[arg-type]
    yield lease
    # Whatever the thread waits for, it is answered.
    etcd.answers.put(lambda: 0)
    lease.stop()


def lost(
    lease: Lease, still_ours: Callable[[float], bool] = lambda _: True
) -> "queue.SimpleQueue[str]":
    reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
    lease.keep(still_ours, reasons.put)
    return reasons


def unavailable() -> int:
    raise EtcdUnavailable("out of reach")


def test_the_time_of_sending_counts_and_not_that_of_the_answer(lease: Lease) -> None:
    # 1 s since it was asked for, less a tenth, and 0.3 s have passed.
    assert lease.left_s() == pytest.approx(0.6)


def test_a_keepalive_counts_from_its_sending_too(
    lease: Lease, etcd: PlayedEtcd, clock: Clock
) -> None:
    lost(lease)

    def late() -> int:
        clock.now_s += 0.5
        return TTL_S

    etcd.answers.put(late)
    assert etcd.asked.acquire(timeout=PATIENCE_S)
    # The second is asked for when the first has been taken in.
    assert etcd.asked.acquire(timeout=PATIENCE_S)

    # Sent at 100.3, answered at 100.8.
    assert lease.left_s() == pytest.approx(0.4)


def test_the_least_that_was_left_is_remembered_though_it_was_renewed(
    lease: Lease, etcd: PlayedEtcd, clock: Clock
) -> None:
    clock.now_s += 0.4
    etcd.answers.put(lambda: TTL_S)
    assert lease.renew(TTL_S)
    assert lease.left_s() == pytest.approx(0.9)
    assert lease.least_left_s() == pytest.approx(0.2)


def test_a_lease_that_is_gone_at_etcd_is_lost_at_once_and_told_once(
    lease: Lease, etcd: PlayedEtcd
) -> None:
    reasons = lost(lease)

    etcd.answers.put(lambda: 0)

    assert reasons.get(timeout=PATIENCE_S) == "the lease has expired at etcd"
    assert lease.left_s() <= 0
    lease.stop()
    assert reasons.empty()


def test_a_lease_that_cannot_be_renewed_is_lost_at_its_deadline(
    lease: Lease, etcd: PlayedEtcd, clock: Clock
) -> None:
    reasons = lost(lease)

    etcd.answers.put(unavailable)
    assert etcd.asked.acquire(timeout=PATIENCE_S)
    assert etcd.asked.acquire(timeout=PATIENCE_S), "it is tried again"
    assert reasons.empty()
    clock.now_s += TTL_S
    etcd.answers.put(unavailable)

    reason = reasons.get(timeout=PATIENCE_S)
    assert "could not be renewed within 1 s: out of reach" in reason


def test_a_key_that_is_not_ours_any_more_ends_it(lease: Lease, etcd: PlayedEtcd) -> None:
    reasons = lost(lease, still_ours=lambda _: False)

    etcd.answers.put(lambda: TTL_S)

    assert "another leads" in reasons.get(timeout=PATIENCE_S)
    assert lease.left_s() <= 0


def test_a_mistake_in_the_thread_ends_the_term_and_is_said(
    lease: Lease, etcd: PlayedEtcd, caplog: pytest.LogCaptureFixture
) -> None:
    reasons = lost(lease)

    etcd.answers.put(lambda: 1 // 0)

    assert "ZeroDivisionError" in reasons.get(timeout=PATIENCE_S)
    assert any(record.levelname == "CRITICAL" for record in caplog.records)
    assert lease.left_s() <= 0


def test_a_lease_that_is_released_is_not_lost(lease: Lease, etcd: PlayedEtcd) -> None:
    reasons = lost(lease)

    etcd.answers.put(lambda: TTL_S)
    lease.release()

    assert etcd.revoked == [7]
    assert reasons.empty()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the platform cannot tell")
def test_the_time_counts_that_the_machine_has_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    awake_s, slept_s = 100.0, 0.0

    def gettime(clock_id: int) -> float:
        return awake_s + (slept_s if clock_id == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "monotonic", lambda: gettime(time.CLOCK_MONOTONIC))
    monkeypatch.setattr(time, "clock_gettime", gettime)
    lease = Lease(PlayedEtcd(Clock()), TTL_S)  # type: ignore[arg-type]
    assert lease.left_s() > 0

    slept_s = 60.0

    assert lease.left_s() <= 0
