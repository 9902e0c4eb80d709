"""Addresses as configurations write them: a host or an IPv6 address in brackets, a colon, and a port."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from digitalgrid.bounds import InvalidValue

# What an address looks like; its port is for `bad_ports`.
HOST_AND_PORT = r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):[0-9]{1,5}"
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """A host, without the brackets of an IPv6 address, and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> "Address":
        """Of what matches the pattern of configurations."""
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"{self.host_of_url}:{self.port}"

    @property
    def host_of_url(self) -> str:
        """The host as it stands before a port: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_any(self) -> bool:
        """Whether it is all addresses of the machine: one to listen on, and none to dial."""
        ip = self._ip()
        return ip is not None and ip.is_unspecified

    @property
    def is_loopback(self) -> bool:
        ip = self._ip()
        return self.host == "localhost" if ip is None else ip.is_loopback

    def clashes_with(self, other: "Address") -> bool:
        """Whether not both can be listened on; port 0 is a free one each time."""
        if not self.port or self.port != other.port:
            return False
        return self.host == other.host or self.is_any or other.is_any

    def _ip(self) -> IPv4Address | IPv6Address | None:
        """None for a name, which only the network can tell."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def bad_ports(*keyed: tuple[str | int, ...], lowest: int = 0) -> Iterator[InvalidValue]:
    """Each is a key with an address at its end; what does not look like one is found by its pattern."""
    for *path, text in keyed:
        port = str(text).rpartition(":")[2]
        if not port.isdecimal():
            continue
        if int(port) > _MAX_PORT:
            yield InvalidValue(*path, message=f"is {text!r}; the highest port is {_MAX_PORT}")
        elif int(port) < lowest:
            yield InvalidValue(*path, message=f"is {text!r}; the lowest port to dial is {lowest}")
