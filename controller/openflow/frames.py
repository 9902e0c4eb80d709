"""Ethernet, ARP and link-discovery (LLDP) frames, as far as the control network needs them."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

ETH_TYPE_ARP = 0x0806
ETH_TYPE_LLDP = 0x88CC
LLDP_MULTICAST = bytes.fromhex("0180c200000e")
BROADCAST = b"\xff" * 6

_ARP_REQUEST, _ARP_REPLY = 1, 2
_MINIMUM_FRAME_BYTES = 60
_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_IPV4_HEADER = (1, 0x0800, 6, 4)
# Probes carry this organization (locally administered) and a cookie: others' LLDP makes no trunk.
_PROBE_ORGANIZATION = b"\x02dg\x01"
_PROBE = struct.Struct("!8sQI")


class PortId(NamedTuple):
    """One port of one switch."""

    dpid: int
    port: int


@dataclass(frozen=True, slots=True)
class Ethernet:
    destination: bytes
    source: bytes
    eth_type: int
    payload: bytes

    @property
    def is_group(self) -> bool:
        """Broadcast or multicast."""
        return bool(self.destination[0] & 1)


@dataclass(frozen=True, slots=True)
class Arp:
    is_request: bool
    sender_mac: bytes
    sender_ip: bytes
    target_ip: bytes


def parse_ethernet(frame: bytes) -> Ethernet | None:
    """None where the frame is too short to have a header."""
    if len(frame) < _ETHERNET.size:
        return None
    destination, source, eth_type = _ETHERNET.unpack_from(frame)
    return Ethernet(destination, source, eth_type, frame[_ETHERNET.size :])


def parse_arp(ethernet: Ethernet) -> Arp | None:
    """None where it is not a whole ARP message for IPv4 over Ethernet."""
    if ethernet.eth_type != ETH_TYPE_ARP or len(ethernet.payload) < _ARP.size:
        return None
    *header, operation, sender_mac, sender_ip, _, target_ip = _ARP.unpack_from(ethernet.payload)
    if tuple(header) != _ARP_IPV4_HEADER or operation not in (_ARP_REQUEST, _ARP_REPLY):
        return None
    return Arp(operation == _ARP_REQUEST, sender_mac, sender_ip, target_ip)


def arp_frame(
    *, is_request: bool, sender_mac: bytes, sender_ip: bytes, target_mac: bytes, target_ip: bytes
) -> bytes:
    """A request goes to everybody, a reply to its target only."""
    operation = _ARP_REQUEST if is_request else _ARP_REPLY
    known_target = bytes(6) if is_request else target_mac
    return _padded(
        _ETHERNET.pack(BROADCAST if is_request else target_mac, sender_mac, ETH_TYPE_ARP)
        + _ARP.pack(*_ARP_IPV4_HEADER, operation, sender_mac, sender_ip, known_target, target_ip)
    )


def probe_frame(origin: PortId, cookie: bytes) -> bytes:
    """An LLDP frame that names the port it leaves; ``cookie`` (8 bytes) is the controller's own."""
    chassis = _tlv(1, b"\x07" + struct.pack("!Q", origin.dpid))
    port = _tlv(2, b"\x07" + struct.pack("!I", origin.port))
    time_to_live = _tlv(3, struct.pack("!H", 5))
    body = _tlv(127, _PROBE_ORGANIZATION + _PROBE.pack(cookie, origin.dpid, origin.port))
    source = b"\x02" + struct.pack("!Q", origin.dpid)[-4:] + struct.pack("!I", origin.port)[-1:]
    header = _ETHERNET.pack(LLDP_MULTICAST, source, ETH_TYPE_LLDP)
    return _padded(header + chassis + port + time_to_live + body + _tlv(0, b""))


def parse_probe(ethernet: Ethernet, cookie: bytes) -> PortId | None:
    """The port that a probe of this controller left; None for anybody else's LLDP."""
    if ethernet.eth_type != ETH_TYPE_LLDP:
        return None
    payload, offset = ethernet.payload, 0
    while offset + 2 <= len(payload):
        (head,) = struct.unpack_from("!H", payload, offset)
        kind, length = head >> 9, head & 0x1FF
        value = payload[offset + 2 : offset + 2 + length]
        if kind == 0 or len(value) < length:
            return None
        if (
            kind == 127
            and value.startswith(_PROBE_ORGANIZATION)
            and length == len(_PROBE_ORGANIZATION) + _PROBE.size
        ):
            found_cookie, dpid, port = _PROBE.unpack_from(value, len(_PROBE_ORGANIZATION))
            return PortId(dpid, port) if found_cookie == cookie else None
        offset += 2 + length
    return None


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind << 9 | len(value)) + value


def _padded(frame: bytes) -> bytes:
    return frame.ljust(_MINIMUM_FRAME_BYTES, b"\0")
