"""Host table: MAC addresses by port and IPv4 addresses by host, as learned from frames, within limits."""

from collections import Counter
from dataclasses import dataclass, replace

from controller.openflow.frames import PortId

# What strangers can add to. A host has one MAC address, and behind a port there may be a switch without OpenFlow; who
# makes up addresses fills his own port, and no other.
MAX_HOSTS_PER_PORT = 64
MAX_HOSTS = 4096


@dataclass(frozen=True, slots=True)
class Host:
    """Where a host is, and its IPv4 address where an ARP message told it."""

    port: PortId
    ip: bytes | None


class HostTable:
    """Each host has one port and at most one address, and each address one host."""

    def __init__(self) -> None:
        self._hosts: dict[bytes, Host] = {}
        self._count_at: Counter[PortId] = Counter()
        self._by_ip: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, mac: bytes) -> bool:
        return mac in self._hosts

    def get(self, mac: bytes) -> Host | None:
        return self._hosts.get(mac)

    def port_of(self, mac: bytes) -> PortId:
        return self._hosts[mac].port

    def at_ip(self, ip: bytes) -> bytes | None:
        """The MAC address of the host that has this IPv4 address."""
        return self._by_ip.get(ip)

    def all(self) -> dict[bytes, Host]:
        return dict(self._hosts)

    def has_room(self, port: PortId) -> bool:
        return self._count_at[port] < MAX_HOSTS_PER_PORT and len(self._hosts) < MAX_HOSTS

    def put(self, mac: bytes, host: Host) -> None:
        """The last to say so has the address; whoever had it before has none."""
        if mac in self._hosts:
            self.pop(mac)
        before = self._by_ip.get(host.ip) if host.ip is not None else None
        if before is not None:
            self._hosts[before] = replace(self._hosts[before], ip=None)
        self._hosts[mac] = host
        self._count_at[host.port] += 1
        if host.ip is not None:
            self._by_ip[host.ip] = mac

    def pop(self, mac: bytes) -> Host:
        host = self._hosts.pop(mac)
        self._count_at[host.port] -= 1
        if not self._count_at[host.port]:
            del self._count_at[host.port]
        if host.ip is not None:
            # It answers for this one no more.
            del self._by_ip[host.ip]
        return host
