"""``dgc serve``: opens the store, starts the core and its edges, and runs until told to stop."""

import asyncio
import logging
import signal
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from controller.computing.engines import Engines, begin_with, wanted_of
from controller.computing.optimiser import Optimiser
from controller.computing.proposing import Proposer
from controller.computing.solver import Solver
from controller.config import ANY_PAGE, ControllerConfig, LimitsConfig
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.northbound.server import LIMITS as NORTHBOUND_LIMITS
from controller.northbound.server import start_server as start_northbound
from controller.northbound.services import Services
from controller.plugins import STORES
from controller.runtime.descriptors import raise_limit, southbound_connections
from controller.runtime.member import Member
from controller.runtime.runtime import Runtime
from controller.southbound.service import LIMITS as SOUTHBOUND_LIMITS
from controller.southbound.service import SessionLimits
from controller.southbound.service import start_server as start_southbound
from controller.store.plugin import StorePlugin
from controller.store.protocol import Membership
from controller.tallies import Tallies
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from digitalgrid.addresses import Address
from digitalgrid.errors import ExplainedError
from digitalgrid.logs import LogFormat, log_to_standard_error
from digitalgrid.plugins.table import find
from digitalgrid.rpc.limits import ServerLimits
from digitalgrid.supervision import start_task, watch_loop
from digitalgrid.units import MS_PER_S, NS_PER_S

if TYPE_CHECKING:
    from controller.tracing.tracing import Tracing

_log = logging.getLogger(__name__)
# Routers dial at least once a second.
_STARTING_NS = 3 * NS_PER_S
# Calls in flight get this long to end when the daemon stops.
_GRACE_S = 0.3


def core_settings(config: ControllerConfig) -> CoreSettings:
    return CoreSettings(
        timeouts=config.core_timeouts,
        lsa_max_age_ns=int(config.lsa_max_age_s * NS_PER_S),
        starting_ns=_STARTING_NS,
        reconcile_interval_ns=int(config.reconcile_interval_s * NS_PER_S),
        forget_routers_after_ns=int(config.limits.forget_routers_after_s * NS_PER_S),
    )


def _browsers(config: ControllerConfig) -> int:
    """How many of the clients' connections are browsers'."""
    return config.limits.north_connections // 4 if config.web.address else 0


def server_limits(limits: LimitsConfig, browsers: int = 0) -> tuple[ServerLimits, ServerLimits]:
    """Of the southbound and the northbound server. OSError where they need more file descriptors than there are."""
    connections = southbound_connections(
        limits.north_connections, limits.south_connections, limits.routers
    )
    south = replace(SOUTHBOUND_LIMITS, connections=connections, handshake_s=limits.handshake_s)
    return south, replace(
        NORTHBOUND_LIMITS,
        connections=limits.north_connections - browsers,
        handshake_s=limits.handshake_s,
    )


def run(config: ControllerConfig) -> int:
    """Run the daemon in this thread; its exit code: 0 when told to stop, 1 when it cannot go on."""
    log_to_standard_error(config.log_level.upper(), log_format=LogFormat(config.log_format))
    begin_with(wanted_of(config.engine))
    try:
        return asyncio.run(serve(config))
    except (ExplainedError, OSError) as error:
        _log.critical("%s", error)
        return 1


async def serve(config: ControllerConfig) -> int:
    """Start everything, wait for SIGTERM, SIGINT or a failure, stop everything."""
    loop = asyncio.get_running_loop()
    watch_loop(loop)
    south, north = server_limits(config.limits, _browsers(config))
    raise_limit()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        runtime = Runtime(core_settings(config), tracing=_open_tracing(config, stack))
        stack.callback(runtime.close)
        store = find(STORES, config.store.chosen).load()
        member = _open_store(config, store, runtime)
        solver = Solver()
        stack.callback(solver.close)
        optimiser = _start_optimiser(config, runtime, solver, stack)
        if config.openflow.enabled:
            _start_openflow(config, runtime.tallies, stack)
        limits = config.limits
        sessions = SessionLimits(limits.handshake_s, limits.lsa_per_s, limits.routers)
        southbound, service = await start_southbound(
            runtime, config.southbound.listen, sessions, south
        )
        stack.push_async_callback(southbound.stop, _GRACE_S)
        gate = Gate(Budget())
        routing = config.routing
        proposer = Proposer(runtime, routing.algorithm, routing.within_ms / MS_PER_S)
        services = Services(runtime, optimiser, gate, service.read_meters, proposer)
        stack.callback(services.close)
        await proposer.start()
        northbound = await start_northbound(services, config.northbound.listen, north)
        stack.push_async_callback(northbound.stop, _GRACE_S)
        meters = MeterLook(service.read_meters, lambda: runtime.view)
        await _serve_metrics(config, runtime, gate, meters, stack)
        kept = store.described(config.store_setting)
        await _serve_page(config, kept, services, gate, meters, stack)
        _log.info(
            "serving: northbound %s, southbound %s",
            config.northbound.listen,
            ", ".join(config.southbound.listen),
        )
        if member is not None:
            member.join()
        # Last: whoever asks is served meanwhile.
        Engines(wanted_of(config.engine), solver).start(stack)
        runtime.failure.add_done_callback(lambda _: stop.set())
        await stop.wait()
        if member is not None:
            # While it still serves: who waits for an answer gets it, and others learn who leads.
            await member.leave()
        _log.info("stopping")
        return 1 if runtime.failure.done() else 0


def _open_tracing(config: ControllerConfig, stack: AsyncExitStack) -> "Tracing | None":
    tracing = config.tracing
    if not tracing.endpoint:
        return None
    # OpenTelemetry is loaded only where somebody asks for it.
    from digitalgrid.tracing.extra import open_spans

    spans = open_spans(tracing.endpoint, "dgc", config.name)
    stack.callback(spans.close)
    from controller.tracing.tracing import Tracing

    _log.info("traces: to %s", tracing.endpoint)
    return Tracing(spans, tracing.sample_ratio)


def _open_store(config: ControllerConfig, store: StorePlugin, runtime: Runtime) -> Member | None:
    """Lead with a store of one's own, or be a member of a cluster."""
    opened = store.open(config.store_setting)
    if isinstance(opened, Membership):
        _log.info("store %s: reading it", store.described(config.store_setting))
        return Member(runtime, opened)
    runtime.lead(opened)
    return None


def _start_optimiser(
    config: ControllerConfig, runtime: Runtime, solver: Solver, stack: AsyncExitStack
) -> Optimiser:
    wanted = config.reoptimisation
    limits = ReoptimiseLimits(
        wanted.most_moves, wanted.least_gain_fraction, int(wanted.wait_to_restore_s * NS_PER_S)
    )
    optimiser = Optimiser(runtime, solver, limits)
    making_room = start_task("making-room", optimiser.make_room_when_wanted)
    stack.callback(making_room.cancel)
    if wanted.interval_s:
        rounds = start_task(
            "reoptimisation", partial(optimiser.reoptimise_every, wanted.interval_s)
        )
        stack.callback(rounds.cancel)
    return optimiser


async def _serve_metrics(
    config: ControllerConfig,
    runtime: Runtime,
    gate: Gate,
    meters: MeterLook,
    stack: AsyncExitStack,
) -> None:
    if not config.metrics.listen:
        return
    # prometheus_client is loaded only where somebody asks for it.
    from controller.metrics.server import serving_metrics

    of_links = config.metrics.detail == "links"
    serving = serving_metrics(runtime, gate, meters, config.metrics.listen, of_links=of_links)
    port = await stack.enter_async_context(serving)
    _log.info("metrics: http://%s:%d/metrics", Address.of(config.metrics.listen).host, port)


async def _serve_page(
    config: ControllerConfig,
    store: str,
    services: Services,
    gate: Gate,
    meters: MeterLook,
    stack: AsyncExitStack,
) -> None:
    if not config.web.address:
        return
    # aiohttp is loaded only where somebody asks for it, and by a thread: calls are answered meanwhile.
    await asyncio.to_thread(import_module, "controller.web.server")
    from controller.web.about import About
    from controller.web.server import serving_page

    about = About(
        services.runtime,
        version=version("digitalgrid"),
        store=store,
        name=config.name,
        emulation=Path(config.web.emulation) if config.web.emulation else None,
        market=config.web.market,
        network=config.web.network,
    )

    def serving(listen: str) -> AbstractAsyncContextManager[str]:
        most, names = _browsers(config), config.web.names
        kept = config.page_token_file
        return serving_page(services, gate, meters, about, listen, most, names, kept)

    try:
        address = await stack.enter_async_context(serving(config.web.address))
    except OSError:
        if config.web.listen is not None:
            raise
        # Nobody has asked for it there: another daemon of this machine has that port.
        address = await stack.enter_async_context(serving(ANY_PAGE))
    _log.info("page: %s", page_for_people(config.web.address, address))


def page_for_people(listen: str, address: str) -> str:
    """The address of the page; by the machine's name where all addresses are listened on, which nobody can dial."""
    there = Address.of(listen)
    return address.replace(there.host_of_url, gethostname(), 1) if there.is_any else address


def _start_openflow(config: ControllerConfig, tallies: Tallies, stack: AsyncExitStack) -> None:
    # os-ken is loaded only where the daemon runs the control network.
    from controller.openflow.launcher import OpenFlowController

    address = Address.of(config.openflow.listen)
    controller = OpenFlowController(address.host, address.port)
    try:
        controller.start()
    except OSError as error:
        message = (
            f"cannot listen on {address} for switches: {error.strerror or error}; stop what uses it, or set"
            " openflow.listen to another"
        )
        raise OSError(error.errno, message) from error
    tallies.control_network = controller.size
    tallies.control_traffic = controller.traffic
    stack.callback(controller.stop)
