"""One test for each of os-ken's traps that the launcher and the application guard against."""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from controller.openflow import app as app_module
from controller.openflow import datapath as datapath_module
from controller.openflow.fabric import Fabric, FrameReceived
from controller.openflow.launcher import OpenFlowController
from tests.support.openflow_model import who_has
from tests.support.openflow_switch import ECHO_REQUEST, PACKET_OUT, BareSwitch
from tests.support.patience import wait_for


@pytest.fixture
def controller() -> Iterator[OpenFlowController]:
    running = OpenFlowController("127.0.0.1", 0)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def switches(controller: OpenFlowController) -> set[int]:
    return set(controller.snapshot().fabric.switches)


def test_a_switch_connects_and_its_end_is_known_at_once(controller: OpenFlowController) -> None:
    with BareSwitch(controller.listen_port) as switch:
        switch.shake_hands()
        wait_for(lambda: switches(controller) == {1})
    # As os-ken comes, it would count as connected until something is sent to it, which nobody does here.
    wait_for(lambda: switches(controller) == set())


def test_a_switch_that_reconnects_replaces_its_older_connection(
    controller: OpenFlowController,
) -> None:
    with BareSwitch(controller.listen_port) as older:
        older.shake_hands()
        with BareSwitch(controller.listen_port) as newer:
            newer.shake_hands()
            for _ in older.messages():
                pass  # Until the controller closes it.
            assert switches(controller) == {1}
            newer.send_frame(1, who_has(1, 2))
            wait_for(lambda: controller.snapshot().fabric.counters.frames_to_controller == 1)


def test_the_loop_goes_on_after_a_handlers_error(
    controller: OpenFlowController, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Fabric.handle
    errors = [ValueError("a bug"), KeyError("another")]

    def fail_twice(fabric: Fabric, event: object, now_ns: int) -> object:
        if isinstance(event, FrameReceived) and errors:
            raise errors.pop()
        return handle(fabric, event, now_ns)  # type: ignore[arg-type]

    monkeypatch.setattr(Fabric, "handle", fail_twice)
    with BareSwitch(controller.listen_port) as switch:
        switch.shake_hands()
        for _ in range(3):
            switch.send_frame(1, who_has(1, 2))
        wait_for(lambda: controller.snapshot().fabric.counters.frames_to_controller == 1)
    assert controller.snapshot().handler_errors == 2


def test_a_full_queue_sheds_frames_and_blocks_nobody(
    controller: OpenFlowController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "MAX_WAITING_EVENTS", 200)
    handle, resume = Fabric.handle, threading.Event()

    def wait(fabric: Fabric, event: object, now_ns: int) -> object:
        if isinstance(event, FrameReceived):
            assert resume.wait(30.0)
        return handle(fabric, event, now_ns)  # type: ignore[arg-type]

    monkeypatch.setattr(Fabric, "handle", wait)
    with (
        BareSwitch(controller.listen_port) as flooding,
        BareSwitch(controller.listen_port, dpid=2) as other,
    ):
        flooding.shake_hands()
        # More than os-ken's 128, which would block the reader of each switch.
        for _ in range(500):
            flooding.send_frame(1, who_has(1, 2))
        flooding.send(ECHO_REQUEST, xid=77)
        assert any(xid == 77 for _, xid, _ in flooding.messages())
        other.send(0)
        assert next(other.messages())
        resume.set()
        wait_for(lambda: controller.snapshot().frames_shed > 0)


def test_a_malformed_message_costs_one_connection_only(
    controller: OpenFlowController, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        BareSwitch(controller.listen_port) as bad,
        BareSwitch(controller.listen_port, dpid=2) as good,
    ):
        bad.shake_hands()
        good.shake_hands()
        with caplog.at_level(logging.CRITICAL):
            bad.socket.sendall(b"\x04\x0a\x00\x09\0\0\0\0\xff" * 3)
            bad.socket.shutdown(socket.SHUT_WR)
            wait_for(lambda: switches(controller) == {2})
        good.send_frame(1, who_has(1, 2))
        wait_for(lambda: controller.snapshot().fabric.counters.frames_to_controller == 1)


def test_a_half_open_connection_is_noticed_by_its_echoes(
    controller: OpenFlowController, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datapath_module.MAX_UNREPLIED_ECHOES >= 1
    monkeypatch.setattr(datapath_module, "ECHO_INTERVAL_S", 0.05)
    with BareSwitch(controller.listen_port) as switch:
        switch.shake_hands()
        # It reads, but never answers an echo: the controller stops talking to it.
        kinds = [kind for kind, _, _ in switch.messages()]
        assert ECHO_REQUEST in kinds
        assert PACKET_OUT in kinds
        wait_for(lambda: switches(controller) == set())


def test_threads_are_daemons_and_end_with_stop() -> None:
    before = set(threading.enumerate())
    controller = OpenFlowController("127.0.0.1", 0)
    controller.start()
    port = controller.listen_port
    with BareSwitch(port) as switch:
        switch.shake_hands()
        ours = set(threading.enumerate()) - before
        assert len(ours) >= 5
        assert all(thread.daemon for thread in ours)
        controller.stop()
    assert set(threading.enumerate()) - before == set()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    controller.stop()


def test_it_starts_again_after_a_stop() -> None:
    for _ in range(2):
        controller = OpenFlowController("127.0.0.1", 0)
        controller.start()
        with BareSwitch(controller.listen_port) as switch:
            switch.shake_hands()
        controller.stop()


def test_one_at_a_time_in_a_process(controller: OpenFlowController) -> None:
    with pytest.raises(RuntimeError, match="stop it first"):
        OpenFlowController("127.0.0.1", 0).start()


def test_an_address_in_use_is_an_error_and_nothing_stays(controller: OpenFlowController) -> None:
    taken = controller.listen_port
    controller.stop()
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(OSError, match="in use"):
        OpenFlowController("127.0.0.1", taken).start()
    controller.start()
    assert switches(controller) == set()


def test_port_6633_stays_closed(controller: OpenFlowController) -> None:
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 6633)) != 0


def test_eventlet_is_never_imported() -> None:
    """Also where the environment asks os-ken for it."""
    program = (
        "import sys, controller.openflow.launcher, os_ken.lib.hub as hub;"
        "sys.exit('eventlet' in sys.modules or hub.HUB_TYPE != 'native')"
    )
    environment = os.environ | {"OSKEN_HUB_TYPE": "eventlet"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=50)


def test_a_process_with_a_controller_ends_without_being_asked_twice() -> None:
    """Threads that are no daemons would keep it alive."""
    program = (
        "from controller.openflow.launcher import OpenFlowController as C;"
        "c = C('127.0.0.1', 0); c.start()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
