"""Runs one software digital grid router in this process.

Cheap to import: the emulator forks routers from a process that has done so.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    closing,
    contextmanager,
    nullcontext,
)
from functools import partial
from typing import TYPE_CHECKING

from digitalgrid.addresses import Address
from digitalgrid.garbage_collector import spare_old
from digitalgrid.processes import die_with_parent
from digitalgrid.tracing.extra import TracingUnavailable, open_spans
from router_agent.agent import Agent
from router_agent.config import RouterConfig
from router_agent.failures import RESTART_STATUS, DeviceFailedError
from router_agent.pulse import Pulse
from router_agent.state import StateError

if TYPE_CHECKING:
    from router_agent.tracing import OrderSpans

_log = logging.getLogger(__name__)

_Serving = Callable[[Agent], AbstractAsyncContextManager[int | None]]


def run_router(config: RouterConfig, *, parent_pid: int | None = None) -> int:
    """Run one router in this process until SIGTERM or SIGINT; returns the exit status. SIGHUP: sources or loads
    have other limits, see :mod:`router_agent.limits`.

    ``RESTART_STATUS`` asks whoever supervises the process to start it again: a defect has made its state untrustworthy.

    With ``parent_pid``, that of the calling process's parent, the router dies as soon as its parent does.
    """
    if parent_pid is not None:
        die_with_parent(parent_pid)
    # Before there is a thread: it is a fork.
    with closing(Pulse.start([link.id for link in config.links], config.hello_ns)) as pulse:
        return _run_with(pulse, config)


def _run_with(pulse: Pulse, config: RouterConfig) -> int:
    try:
        spans = _order_spans(config)
    except TracingUnavailable as error:
        _log.error("router %s ends: %s", config.router_id, error)
        return 1
    serving = _metrics(config.metrics.listen)
    # A look for garbage among all circuits holds up whatever else this process does.
    spare_old()
    try:
        with spans as order_spans:
            asyncio.run(_run(config, serving, order_spans, pulse))
    except (StateError, OSError) as error:
        _log.error("router %s ends: %s", config.router_id, error)
        return 1
    except DeviceFailedError as error:
        _log.critical(
            "router %s ends, to be started again: %s", config.router_id, error, exc_info=error
        )
        return RESTART_STATUS
    return 0


def _metrics(listen: str) -> _Serving:
    """How metrics of an agent are served. What that needs is loaded only where somebody asks for it."""
    if not listen:
        return lambda _: nullcontext()
    from router_agent.metrics.collecting import serving_metrics

    return partial(serving_metrics, listen=listen)


def _order_spans(config: RouterConfig) -> AbstractContextManager["OrderSpans | None"]:
    """Likewise of spans, which are sent when this is left. TracingUnavailable where they cannot be made."""
    endpoint = config.tracing.endpoint
    if not endpoint:
        return nullcontext()
    spans = open_spans(endpoint, "dgr", config.router_id)
    from router_agent.tracing import OrderSpans

    @contextmanager
    def tracing() -> Iterator[OrderSpans]:
        with closing(spans):
            yield OrderSpans(spans)

    _log.info("traces: to %s", endpoint)
    return tracing()


async def _run(
    config: RouterConfig, serving: _Serving, order_spans: "OrderSpans | None", pulse: Pulse
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    agent = Agent(config, loop, order_spans, pulse)
    loop.add_signal_handler(signal.SIGHUP, agent.read_limits)
    async with serving(agent) as port:
        if port is not None:
            host = Address.of(config.metrics.listen).host
            _log.info("metrics: http://%s:%d/metrics", host, port)
        await agent.run(stop)
