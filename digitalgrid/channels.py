"""gRPC channels, all of them: what is near is dialled directly, and what goes through an HTTP proxy says so.

gRPC obeys proxy variables for every address. Here loopback and literal addresses of private networks, as those of an
emulation, are never dialled through a proxy: none could reach them. Who must go through one writes a host's name.
"""

import ipaddress
import os
from collections.abc import Sequence
from typing import NamedTuple

import grpc

# In the order in which gRPC looks at them.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTIONS_VARIABLES = ("no_grpc_proxy", "no_proxy")
_SCHEMES = ("dns:", "ipv4:", "ipv6:")

Options = Sequence[tuple[str, object]]

# Of whoever asks a controller or a market.
CLIENT_OPTIONS: Options = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # A server that is started again serves within a second; whoever waits for it shall not wait for a pause.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    # One that has died without a word is noticed within seconds, also in the middle of a call.
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 2000),
    # gRPC 1.85 goes by this one, which is a minute if it is not given.
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
)


class Proxy(NamedTuple):
    """An HTTP proxy, and the environment variable that names it."""

    url: str
    variable: str


def blocking_channel(address: str, options: Options = ()) -> grpc.Channel:
    return grpc.insecure_channel(address, options=_with_proxy(address, options))


def asyncio_channel(address: str, options: Options = ()) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=_with_proxy(address, options))


def proxy_of(address: str) -> Proxy | None:
    """The proxy through which a channel to ``address`` (host:port) goes; None where it goes directly."""
    host = _host_of(address)
    if _is_near(host) or _is_excepted(host):
        return None
    for variable in _PROXY_VARIABLES:
        if url := os.environ.get(variable):
            return Proxy(url, variable)
    return None


def proxy_note(address: str) -> str:
    """For messages about an address that does not answer: names the proxy; empty where there is none."""
    proxy = proxy_of(address)
    if proxy is None:
        return ""
    return (
        f"; it was asked for through the proxy {_shown(proxy.url)} of the variable {proxy.variable}:"
        f" no_proxy={_host_of(address)} dials it directly"
    )


def _with_proxy(address: str, options: Options) -> list[tuple[str, object]]:
    proxy = proxy_of(address)
    if proxy is None:
        return [*options, ("grpc.enable_http_proxy", 0)]
    return [*options, ("grpc.http_proxy", proxy.url)]


def _host_of(address: str) -> str:
    for scheme in _SCHEMES:
        if address.startswith(scheme):
            address = address.removeprefix(scheme).rpartition("/")[2]
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        host = address
    return host.strip("[]").lower()


def _shown(url: str) -> str:
    """Without the password that it may hold."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _is_near(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost") or host.startswith("unix"):
        return True
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return False


def _is_excepted(host: str) -> bool:
    """By the first variable that is set: names and their endings, networks, or * for all."""
    listed = next(filter(None, map(os.environ.get, _EXCEPTIONS_VARIABLES)), "")
    return any(_matches(host, each.strip().lower()) for each in listed.split(","))


def _matches(host: str, entry: str) -> bool:
    if not entry:
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.removeprefix("*").lstrip(".")
        return not name or host == name or host.endswith(f".{name}")
