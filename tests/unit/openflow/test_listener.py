"""The OpenFlow listener outlives what keeps it from accepting, and takes no more connections than it can serve."""

import errno
import logging
import socket
from collections.abc import Iterator

import pytest

from controller.openflow import launcher
from controller.openflow.launcher import OpenFlowController
from digitalgrid.counters import COUNTERS
from tests.support.openflow_switch import BareSwitch
from tests.support.patience import wait_for


@pytest.fixture
def controller() -> Iterator[OpenFlowController]:
    running = OpenFlowController("127.0.0.1", 0)
    running.start()
    try:
        yield running
    finally:
        running.stop()


class _FailingListener:
    """A listener whose next calls of accept() fail."""

    def __init__(self, listener: socket.socket, *codes: int) -> None:
        self._listener = listener
        self._codes = list(codes)

    def accept(self) -> tuple[socket.socket, object]:
        if self._codes:
            code = self._codes.pop(0)
            raise OSError(code, errno.errorcode[code])
        return self._listener.accept()


def test_a_failing_accept_is_told_and_counted_and_switches_connect_afterwards(
    controller: OpenFlowController, caplog: pytest.LogCaptureFixture
) -> None:
    before = COUNTERS.value("openflow_accept_failures", "EMFILE")
    listener = controller._listener
    assert listener is not None
    failing = _FailingListener(listener, errno.EMFILE, errno.EMFILE, errno.ENOBUFS)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            controller._accept(failing)  # type: ignore[arg-type]
    assert COUNTERS.value("openflow_accept_failures", "EMFILE") == before + 2
    assert [each.getMessage() for each in caplog.records] == [
        "cannot accept switches just now: [Errno 24] EMFILE; trying again"
    ]
    with BareSwitch(controller.listen_port) as switch:
        switch.shake_hands()


def test_running_out_of_descriptors_does_not_end_the_listener(
    controller: OpenFlowController, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real accept thread meets a real error: the listening socket says EINVAL to everybody for a while."""
    before = COUNTERS.value("openflow_accept_failures", "EMFILE")
    accept, failures = OpenFlowController._accept, [0]

    def fail_at_first(self: OpenFlowController, listener: socket.socket) -> None:
        if failures[0] < 3:
            failures[0] += 1
            return accept(self, _FailingListener(listener, errno.EMFILE))  # type: ignore[arg-type]
        return accept(self, listener)

    monkeypatch.setattr(OpenFlowController, "_accept", fail_at_first)
    # The thread waits in the accept() that it began before; this connection lets it go on.
    with BareSwitch(controller.listen_port) as first:
        first.shake_hands()
    with BareSwitch(controller.listen_port) as switch:
        switch.shake_hands()
    assert COUNTERS.value("openflow_accept_failures", "EMFILE") == before + 3


def test_connections_beyond_the_most_are_closed_at_once(
    controller: OpenFlowController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "MAX_CONNECTIONS", 2)
    with BareSwitch(controller.listen_port) as one, BareSwitch(controller.listen_port, 2) as two:
        one.shake_hands()
        two.shake_hands()
        with BareSwitch(controller.listen_port, 3) as third:
            assert third.socket.recv(1) == b""
    wait_for(lambda: not controller._connections)
    with BareSwitch(controller.listen_port, 3) as third:
        third.shake_hands()


def test_it_listens_on_an_ipv6_address() -> None:
    controller = OpenFlowController("::1", 0)
    controller.start()
    try:
        with socket.create_connection(("::1", controller.listen_port), timeout=5.0) as connection:
            assert connection.recv(1)
    finally:
        controller.stop()
