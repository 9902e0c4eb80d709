"""What `dgc serve` needs of this machine, looked at without starting: whatever would make it refuse is found here too.

Nothing is changed, and nothing stays open.
"""

import socket
from collections.abc import Iterator

from controller.config import ControllerConfig
from controller.plugins import ROUTING, STORES
from controller.runtime.descriptors import TooFewDescriptors, southbound_connections
from controller.web.token import read_token
from digitalgrid.addresses import Address
from digitalgrid.bounds import InvalidValue
from digitalgrid.plugins.table import PluginError, find
from digitalgrid.tracing.extra import TracingUnavailable, spans_maker


def problems(config: ControllerConfig) -> Iterator[InvalidValue]:
    """Each names the key that it comes from."""
    for path, address in config.listeners():
        trouble = _listening_trouble(address)
        if trouble:
            yield InvalidValue(
                *path, message=f"is '{address}', which cannot be listened on: {trouble}"
            )
    yield from _plugin_troubles(config)
    if config.web.listen and not Address.of(config.web.listen).is_loopback:
        try:
            read_token(config.page_token_file)
        except OSError as error:
            yield InvalidValue("web", "token_file", message=f"leads to no token: {error}")
    if config.tracing.endpoint:
        try:
            spans_maker(config.tracing.endpoint)
        except TracingUnavailable as error:
            yield InvalidValue("tracing", "endpoint", message=f"cannot be used: {error}")
    limits = config.limits
    try:
        southbound_connections(limits.north_connections, limits.south_connections, limits.routers)
    except TooFewDescriptors as error:
        yield InvalidValue("limits", message=f"do not fit: {error}")


def _listening_trouble(address: Address) -> str:
    """Why nobody can listen there; empty where one can."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        return (
            f"{address.host!r} is no address of this machine, nor a name of one ({error.strerror})"
        )
    for family, kind, protocol, _, resolved_address in found:
        try:
            with socket.socket(family, kind, protocol) as listener:
                # As those do who will listen: what a former daemon left half closed is in nobody's way.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(resolved_address)
                listener.listen()
        except OSError as error:
            return f"{error.strerror}; stop what uses it, or take another"
    return ""


def _plugin_troubles(config: ControllerConfig) -> Iterator[InvalidValue]:
    """Plug-ins that are chosen and cannot be used, and what the store says for itself."""
    try:
        algorithm = find(ROUTING, config.routing.algorithm)
        if not algorithm.is_built_in:
            algorithm.load()
    except PluginError as error:
        message = f"is {config.routing.algorithm!r}: {error}"
        yield InvalidValue("routing", "algorithm", message=message)
    try:
        store = find(STORES, config.store.chosen).load()
    except PluginError as error:
        yield InvalidValue("store", "kind", message=f"is {config.store.chosen!r}: {error}")
        return
    for key, trouble in store.problems(config.store_setting):
        yield InvalidValue("store", key, message=trouble)
