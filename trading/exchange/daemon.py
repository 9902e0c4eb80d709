"""``dgm run``: opens journal and ledger, starts the market and its edges, and runs until told to stop."""

import asyncio
import errno
import logging
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from digitalgrid.addresses import Address
from digitalgrid.errors import ExplainedError
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.interpreter_lock import share_promptly
from digitalgrid.logs import LogFormat, log_to_standard_error
from digitalgrid.supervision import start_once, watch_loop
from trading.exchange.clearer import WorkerClearer
from trading.exchange.config import ExchangeConfig
from trading.exchange.controller_port import ControllerPort
from trading.exchange.exchange import Exchange
from trading.exchange.journal import Journal, JournalError
from trading.exchange.ledger_port import LedgerPort
from trading.exchange.mandates import Mandates
from trading.exchange.ports import Clearer
from trading.exchange.runtime import Runtime
from trading.exchange.services.server import start_server
from trading.exchange.state import State
from trading.ledger.refusals import LedgerRefused
from trading.ledger.sqlite_storage import NoLedger
from trading.ledger.verifying import BadLog

_log = logging.getLogger(__name__)
# Not allowed, read only, or no directory: whoever runs it has to mend that.
_LASTING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
# Calls in flight get this long to end when the daemon stops (s).
_GRACE_S = 0.3
# Of meters that the file has no more, so many are named at the start.
_NAMED = 16


def run(config: ExchangeConfig) -> int:
    """Run the daemon in this thread; its exit code: 0 when told to stop, 1 when it cannot go on, 2 when it could not
    after another start either.
    """
    log_to_standard_error(config.log_level.upper(), log_format=LogFormat(config.log_format))
    try:
        return asyncio.run(serve(config))
    except (ExplainedError, OSError, JournalError, NoLedger, BadLog, LedgerRefused) as error:
        _log.critical("%s", error)
        return 1 if _may_pass(error) else 2


def _may_pass(error: Exception) -> bool:
    """What a port that is taken or a full disk does, and a state that is not all there, or another's, does not; nor do
    files and ports that its user may not have.
    """
    if isinstance(error, OSError):
        return error.errno not in _LASTING
    return isinstance(error.__cause__, sqlite3.OperationalError)


async def serve(config: ExchangeConfig) -> int:
    """Start everything, wait for SIGTERM, SIGINT or a failure, stop everything."""
    share_promptly()
    loop = asyncio.get_running_loop()
    watch_loop(loop)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        failures: list[Exception] = []

        def fail(error: Exception) -> None:
            failures.append(error)
            stop.set()

        clearer = WorkerClearer()
        stack.callback(clearer.close)
        exchange = await open_exchange(config, clearer, fail, stack)
        start_once("clearer's warm-up", clearer.warm_up)
        # What is loaded stays for good, and what comes has no cycles.
        freeze_loaded()
        server, port = await start_server(exchange, config.listen)
        stack.push_async_callback(server.stop, _GRACE_S)
        await _serve_metrics(exchange, stack)
        exchange.runtime.failure.add_done_callback(lambda failure: fail(failure.result()))
        exchange.runtime.start()
        host = Address.of(config.listen).host_of_url
        _log.info("serving: market %s on %s:%d", config.market.name, host, port)
        await stop.wait()
        _log.info("stopping")
        for error in failures:
            _log.critical("it cannot go on: %s", error)
        return 1 if failures else 0


async def open_exchange(
    config: ExchangeConfig,
    clearer: Clearer,
    fail: Callable[[Exception], None],
    stack: AsyncExitStack,
) -> Exchange:
    """All but its server; closed with the stack, the ledger last, as the journal's last answers may need it."""
    state = State(Path(config.state_dir))
    # Before anything is opened: whoever opens the journal last is its only writer.
    stack.callback(os.close, state.lock())
    settings = config.settings
    opening = state.opening_ledger(config.market.name, time.time_ns)
    ledger = LedgerPort(
        opening, state.rotate, settings.operator, state.secret, settings.times, fail
    )
    stack.push_async_callback(ledger.shut)
    await ledger.open()
    _tell_removed(config, await ledger.ask(lambda book: book.registered_keys))
    controller = ControllerPort(
        config.controller, config.meters, settings.times, settings.trade_prefix
    )
    stack.push_async_callback(controller.close)
    journal = Journal(state.journal, config.market.name)
    runtime = Runtime(settings, journal, controller, ledger, clearer)
    stack.push_async_callback(runtime.close)
    mandates = Mandates(config.public_keys, settings.operator, ledger.log_id)
    return Exchange(config, runtime, ledger, controller, mandates, state.secret)


def _tell_removed(config: ExchangeConfig, registered: Sequence[bytes]) -> None:
    """Meters that only this market's log has, and nobody thinks of any more."""
    named = {each.public_key for each in config.market_meters.values()}
    removed = [key.hex() for key in registered if key not in named]
    if removed:
        _log.warning(
            "%d meters are registered here, and the file has none by their keys; `dgctl market meter release` takes"
            " the key for the meter: %s",
            *(len(removed), ", ".join(removed[:_NAMED])),
        )


async def _serve_metrics(exchange: Exchange, stack: AsyncExitStack) -> None:
    listen = exchange.config.metrics.listen
    if not listen:
        return
    # prometheus_client is loaded only where somebody asks for it.
    from trading.exchange.metrics.collecting import serving_metrics

    port = await stack.enter_async_context(serving_metrics(exchange, listen))
    _log.info("metrics: http://%s:%d/metrics", Address.of(listen).host_of_url, port)
