"""The switch's side of an OpenFlow 1.3 connection, bare enough to misbehave on purpose."""

import socket
import struct
from collections.abc import Iterator
from typing import Self

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PACKET_IN, PORT_STATUS, PACKET_OUT, FLOW_MOD, MULTIPART_REQUEST, MULTIPART_REPLY = (
    10,
    12,
    13,
    14,
    18,
    19,
)
_VERSION = 4
_PORT_DESC = 13
_HEADER = struct.Struct("!BBHI")


class BareSwitch:
    """Connects and shakes hands; answers nothing else unless told to."""

    def __init__(self, port: int, dpid: int = 1, ports: tuple[int, ...] = (1, 2)) -> None:
        self.dpid = dpid
        self._ports = ports
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def shake_hands(self) -> None:
        """As far as the controller's first flow."""
        self.send(HELLO)
        for kind, xid, _ in self.messages():
            if kind == FEATURES_REQUEST:
                self.send(FEATURES_REPLY, struct.pack("!QIBB2xII", self.dpid, 0, 2, 0, 0, 0), xid)
            elif kind == MULTIPART_REQUEST:
                described = b"".join(_port(number) for number in self._ports)
                self.send(MULTIPART_REPLY, struct.pack("!HH4x", _PORT_DESC, 0) + described, xid)
            elif kind == FLOW_MOD:
                return
        raise ConnectionError("closed before the first flow")

    def send_frame(self, in_port: int, frame: bytes) -> None:
        """Hand a frame to the controller."""
        match = struct.pack("!HHII4x", 1, 12, 0x80000004, in_port)
        head = struct.pack("!IHBBQ", 0xFFFFFFFF, len(frame), 0, 0, 0)
        self.send(PACKET_IN, head + match + b"\0\0" + frame)

    def send(self, kind: int, body: bytes = b"", xid: int = 0) -> None:
        self.socket.sendall(_HEADER.pack(_VERSION, kind, _HEADER.size + len(body), xid) + body)

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(type, xid, body) of each message until the controller closes."""
        while True:
            head = self._read(_HEADER.size)
            if not head:
                return
            _, kind, length, xid = _HEADER.unpack(head)
            yield kind, xid, self._read(length - _HEADER.size)

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            chunk = self.socket.recv(length - len(data))
            if not chunk:
                return b""
            data += chunk
        return data


def _port(number: int) -> bytes:
    mac = bytes([2, 0, 0, 0, 0, number])
    name = b"port%d" % number
    return struct.pack("!I4x6s2x16s8I", number, mac, name, *[0] * 8)
