"""What `dgc serve` needs of this machine, looked at without starting: whatever would make it refuse is found here too.

Nothing is changed, and nothing stays open.
"""

from collections.abc import Iterator

from controller.config import ControllerConfig
from controller.plugins import ROUTING, STORES
from controller.runtime.descriptors import TooFewDescriptors, southbound_connections
from controller.web.token import read_token
from digitalgrid.addresses import Address
from digitalgrid.bounds import InvalidValue
from digitalgrid.errors import ExplainedError
from digitalgrid.listening import listening_trouble
from digitalgrid.plugins.table import PluginError, find
from digitalgrid.tracing.extra import TracingUnavailable, spans_maker


def problems(config: ControllerConfig) -> Iterator[InvalidValue]:
    """Each names the key that it comes from."""
    for path, address in config.listeners():
        trouble = listening_trouble(address)
        if trouble:
            yield InvalidValue(
                *path, message=f"is '{address}', which cannot be listened on: {trouble}"
            )
    try:
        # Its module does not load either where it is wrong.
        from controller.routing.compiled import engine_of_environment

        engine_of_environment()
    except ExplainedError as error:
        yield InvalidValue("engine", message=f"cannot be taken: {error}")
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
