"""Carrier of this network namespace's interfaces, told by rtnetlink within a millisecond of a change.

A raw socket in the event loop: nothing polls, and ``/sys``, which may be another namespace's, is never read.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

# rtnetlink (linux/rtnetlink.h): RTMGRP_LINK, then messages, flags and the attribute that are used here.
_GROUP_LINK = 1
_NLMSG = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_NLMSG_ERROR, _NLMSG_DONE, _NEWLINK, _DELLINK, _GETLINK = 2, 3, 16, 17, 18
_REQUEST_DUMP = 0x301
_IFLA_IFNAME = 3
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
# One read takes all messages of a datagram; the kernel sends at most 32 KiB at once.
_RECEIVE_BYTES = 1 << 16


class CarrierWatch:
    """Calls ``changed(interface, ifindex, carrier)`` for every interface at the start and at every news of one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[str, int, bool], None]
    ) -> None:
        self._loop = loop
        self._changed = changed
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _GROUP_LINK))
        self._request_all()
        loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _request_all(self) -> None:
        request = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        header = _NLMSG.pack(_NLMSG.size + len(request), _GETLINK, _REQUEST_DUMP, 1, 0)
        self._socket.send(header + request)

    def _readable(self) -> None:
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                _log.warning("news of interfaces were lost; asking for all of them again")
                self._request_all()
                continue
            for name, ifindex, carrier in _links(data):
                self._changed(name, ifindex, carrier)


def _links(data: bytes) -> Iterator[tuple[str, int, bool]]:
    """Name, ifindex and carrier of each interface that a datagram of rtnetlink tells of."""
    at = 0
    while at + _NLMSG.size <= len(data):
        length, kind, _, _, _ = _NLMSG.unpack_from(data, at)
        if kind in (_NLMSG_DONE, _NLMSG_ERROR) or length < _NLMSG.size:
            return
        if kind in (_NEWLINK, _DELLINK):
            body = data[at + _NLMSG.size : at + length]
            _, _, ifindex, flags, _ = _IFINFO.unpack_from(body)
            carrier = kind == _NEWLINK and flags & _IFF_UP and flags & _IFF_LOWER_UP
            name = _interface_name(body[_IFINFO.size :])
            if name:
                yield name, ifindex, bool(carrier)
        at += -(-length // 4) * 4


def _interface_name(attributes: bytes) -> str:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if length < _ATTRIBUTE.size:
            break
        if kind == _IFLA_IFNAME:
            return attributes[at + _ATTRIBUTE.size : at + length].rstrip(b"\0").decode()
        at += -(-length // 4) * 4
    return ""
