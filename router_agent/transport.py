"""Carries datagrams over power lines: raw Ethernet on an interface, or UDP on loopback without root.

A loopback line has no carrier of its own. Where its configuration has a ``carrier_key``, as in an emulation, it obeys
the datagrams of :func:`carrier_command` with that key, sent to the line's local address from anywhere on this
machine: carrier up, carrier down, or silent (carrier up, everything lost both ways).
"""

import asyncio
import errno
import hmac
import logging
import socket
import time
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from digitalgrid.rate_limit import LimitedLog
from router_agent.carrier import CarrierWatch
from router_agent.config import LinkConfig, parse_loopback
from router_agent.pulse import End

_log = logging.getLogger(__name__)
_limited = LimitedLog(_log)

# The first of the two EtherTypes that IEEE 802 leaves for local experiments.
ETHERTYPE = 0x88B5
# Broadcast: a line has one far end.
_EVERYONE = b"\xff\xff\xff\xff\xff\xff"
# The largest datagram there can be.
_RECEIVE_BYTES = 1 << 16
# Of what has come and was not read yet, in bytes as the kernel counts them (some 2,300 for a frame of 1,400): a hundred
# ticks of a thousand circuits. Energy that finds no room there is lost for good, and with it the state that it came
# with, which is stated anew with the next tick; the usual 212,992 bytes are full after two or three ticks of them.
_ROOM_BYTES = 8 << 20
# The same as SO_RCVBUF, above net.core.rmem_max too, for who may administer the network; Python does not name it.
_SO_RCVBUFFORCE = 33
# Datagrams of one line before the others and the timer have their turn; what is left makes it readable again.
_RECEIVED_AT_ONCE = 16
# Until an address is free that is in use (s), and between two looks.
_FREED_WITHIN_S = 0.5
_FREED_POLL_S = 0.01
# A line that is going away, or full: what was sent is lost, and its books will tell.
_LOSSES = frozenset(
    {
        errno.ENETDOWN,
        errno.ENXIO,
        errno.ENODEV,
        errno.ENOBUFS,
        errno.EAGAIN,
        errno.ECONNREFUSED,
        errno.EPERM,
    }
)


class LineCarrier(Enum):
    """What a loopback line can be told to be."""

    UP = b"up"
    DOWN = b"down"
    SILENT = b"silent"


def carrier_command(carrier: LineCarrier, key: str) -> bytes:
    """The datagram that sets the carrier of a loopback line with this ``carrier_key``."""
    return _carrier_prefix(key) + carrier.value


def _carrier_prefix(key: str) -> bytes:
    return b"digitalgrid carrier %s " % key.encode()


class Transport(Protocol):
    def send(self, datagram: bytes) -> None: ...

    def end(self) -> End | None:
        """None where nothing goes out."""

    def close(self) -> None: ...


class LineEvents(Protocol):
    """Who is told what happens on the lines."""

    def datagram_received(self, link_id: str, datagram: bytes) -> None: ...

    def carrier_changed(self, link_id: str, carrier: bool) -> None: ...


class LoopbackTransport:
    """UDP between two addresses of this machine."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: LinkConfig, events: LineEvents
    ) -> None:
        self._loop = loop
        self._link_id = link.id
        self._events = events
        self._remote = parse_loopback(link.remote)
        self._command_prefix = _carrier_prefix(link.carrier_key) if link.carrier_key else None
        self._carrier = LineCarrier.UP
        family = socket.AF_INET6 if ":" in self._remote[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        _make_room(self._socket)
        try:
            _bind(self._socket, parse_loopback(link.local))
        except OSError as error:
            self._socket.close()
            raise OSError(
                error.errno, f"link {link.id}: cannot bind {link.local}: {error.strerror}"
            ) from error
        loop.add_reader(self._socket, self._readable)
        self._beginning = loop.call_soon(events.carrier_changed, link.id, True)

    def send(self, datagram: bytes) -> None:
        if self._carrier is LineCarrier.UP:
            _send(self._socket, datagram, self._remote, self._link_id)

    def end(self) -> End | None:
        return (self._socket, self._remote) if self._carrier is LineCarrier.UP else None

    def close(self) -> None:
        """Nothing is told of it any more: who was to be told may never have come to be."""
        self._beginning.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(_RECEIVED_AT_ONCE):
            try:
                datagram, sender = self._socket.recvfrom(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                # The far end is not running; said of a datagram that was sent before.
                continue
            if self._is_command(datagram):
                self._obey(datagram)
            elif self._carrier is LineCarrier.UP and sender[:2] == self._remote:
                self._events.datagram_received(self._link_id, datagram)

    def _is_command(self, datagram: bytes) -> bool:
        prefix = self._command_prefix
        return prefix is not None and hmac.compare_digest(datagram[: len(prefix)], prefix)

    def _obey(self, datagram: bytes) -> None:
        command = datagram.rpartition(b" ")[2]
        try:
            self._carrier = LineCarrier(command)
        except ValueError:
            _log.warning(
                "link %s: carrier cannot be %r",
                *(self._link_id, command),
                extra={"link_id": self._link_id},
            )
            return
        self._events.carrier_changed(self._link_id, self._carrier is not LineCarrier.DOWN)


class InterfaceTransport:
    """Ethernet frames of our own type on one interface of this network namespace, to whoever is at its far end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: LinkConfig, events: LineEvents
    ) -> None:
        self._loop = loop
        self._link = link
        self._events = events
        self._socket: socket.socket | None = None
        self._ifindex = 0

    def interface_changed(self, ifindex: int, carrier: bool) -> None:
        if carrier and ifindex != self._ifindex:
            # Made anew under the same name: the old socket belongs to the interface that is gone.
            self.close()
            self._open(ifindex)
        if self._socket is not None:
            self._events.carrier_changed(self._link.id, carrier)

    def send(self, datagram: bytes) -> None:
        end = self.end()
        if end is not None:
            line, address = end
            _send(line, datagram, address, self._link.id)

    def end(self) -> End | None:
        line = self._socket
        address = (self._link.interface, ETHERTYPE, 0, 0, _EVERYONE)
        return None if line is None else (line, address)

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._ifindex = 0

    def _open(self, ifindex: int) -> None:
        line = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        _make_room(line)
        try:
            line.bind((self._link.interface, ETHERTYPE))
        except OSError as error:
            line.close()
            if error.errno not in _LOSSES:
                raise
            _log.info(
                "link %s: %s is gone again",
                *(self._link.id, self._link.interface),
                extra={"link_id": self._link.id},
            )
            return
        self._socket, self._ifindex = line, ifindex
        self._loop.add_reader(line, self._readable)

    def _readable(self) -> None:
        for _ in range(_RECEIVED_AT_ONCE):
            if self._socket is None:
                return
            try:
                datagram = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                # Told once when the interface goes down; the socket works again when it is back.
                if error.errno not in _LOSSES:
                    raise
                return
            self._events.datagram_received(self._link.id, datagram)


class Lines:
    """The transports of all lines of one router, and the carrier of those that are interfaces."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        links: tuple[LinkConfig, ...],
        events: LineEvents,
    ) -> None:
        self._transports: dict[str, Transport] = {}
        self._watch: CarrierWatch | None = None
        by_interface: dict[str, Callable[[int, bool], None]] = {}
        try:
            for link in links:
                if link.interface:
                    line = InterfaceTransport(loop, link, events)
                    by_interface[link.interface] = line.interface_changed
                    self._transports[link.id] = line
                else:
                    self._transports[link.id] = LoopbackTransport(loop, link, events)
        except OSError:
            self.close()
            raise

        def interface_changed(name: str, ifindex: int, carrier: bool) -> None:
            if name in by_interface:
                by_interface[name](ifindex, carrier)

        if by_interface:
            self._watch = CarrierWatch(loop, interface_changed)

    def send(self, link_id: str, datagram: bytes) -> None:
        self._transports[link_id].send(datagram)

    def end(self, link_id: str) -> End | None:
        return self._transports[link_id].end()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        for transport in self._transports.values():
            transport.close()


def _bind(line: socket.socket, address: tuple[str, int]) -> None:
    """A router that was killed a moment ago may hold it still, with its pulse."""
    until_s = time.monotonic() + _FREED_WITHIN_S
    while True:
        try:
            line.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until_s:
                raise
            time.sleep(_FREED_POLL_S)
        else:
            return


def _make_room(line: socket.socket) -> None:
    """For what comes while the router is late; without the right to it, as much as net.core.rmem_max allows."""
    try:
        line.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM_BYTES)
    except OSError:
        # PermissionError without the right; other kernels and sandboxes do not know the option.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM_BYTES)
    # The kernel doubles what it is told, for what it keeps beside the bytes.
    room_bytes = line.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if room_bytes < _ROOM_BYTES:
        _limited.log(
            time.monotonic_ns(),
            logging.INFO,
            "room",
            "a line has room for %d bytes of frames that wait, and %d are wanted: where this router is late with"
            " very many circuits their energy is lost in transit. Set net.core.rmem_max to that",
            *(room_bytes, _ROOM_BYTES),
        )


def _send(line: socket.socket, datagram: bytes, address: tuple[object, ...], link_id: str) -> None:
    """What a line that is down or full does not take is lost, as on any line."""
    try:
        line.sendto(datagram, address)
    except OSError as error:
        if error.errno not in _LOSSES:
            raise
        _limited.log(
            time.monotonic_ns(),
            logging.DEBUG,
            link_id,
            "link %s: a frame was lost: %s",
            link_id,
            error.strerror,
        )
