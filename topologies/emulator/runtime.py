"""Runs an emulation: in the foreground until a signal, or in the background; and removes it."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from digitalgrid.gridfile import Grid
from digitalgrid.logs import log_to_standard_error
from topologies.emulator import cleanup, workspace
from topologies.emulator.addresses import ControlNetwork
from topologies.emulator.backends import make_emulation
from topologies.emulator.background import start_detached
from topologies.emulator.control import ControlServer
from topologies.emulator.errors import AlreadyRunning
from topologies.emulator.health import wait_healthy
from topologies.emulator.network_file import load_network
from topologies.emulator.page import page_address
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.processes import end_process

_log = logging.getLogger(__name__)

# Until all routers are connected and all lines up (s), or the start has failed.
_HEALTHY_WITHIN_S = 60.0
# How long (s) its page may take after that, before the network does without: milliseconds, on a machine with time.
_SERVING_WITHIN_S = 10.0
# Until an emulation that was told to stop is killed (s): hundreds of processes are ended one after another.
_STOP_GRACE_S = 60.0
# Seconds until the processes that an emulation forked have noticed its death, and how often that is looked for.
_LOCK_FREE_WITHIN_S = 5.0
_POLL_S = 0.02
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(file: str, backend: str, options: EmulationOptions) -> None:
    """Emulate a grid file or topology file until SIGTERM or SIGINT.

    ConfigError or EmulationError where it cannot be brought up; nothing is left then.
    """
    emulate(load_network(file), backend, options, on_healthy=lambda: None)


def start_in_background(file: str, backend: str, options: EmulationOptions) -> None:
    """Like :func:`run`, in a process of its own; returns once the network is healthy."""
    # What is wrong with the file is said here, as ConfigError.
    load_network(file)
    start_detached(file, backend, options)


def stop(run_dir: Path = Path(".run")) -> None:
    """Remove the emulation of a run directory: end it where it runs, and take away what it left where it crashed.

    In Mininet, what no run directory has a record of goes too; others stay as they are, and are named.
    """
    files = RunFiles.under(run_dir)
    record = workspace.read_record(files)
    if record is None:
        _log.info("no emulation runs from %s", run_dir)
    else:
        end_process(record.emulator, _STOP_GRACE_S)
        _log.info("stopped the emulation of %s", run_dir)
    if os.geteuid() == 0:
        with workspace.choosing():
            for number in workspace.used_numbers():
                _stop_network(number, files)
        cleanup.stop_open_vswitch()
    if record is not None:
        _erase(files, record)


def _erase(files: RunFiles, record: workspace.RunRecord) -> None:
    """Erase what the record says, unless another emulation has begun in its run directory meanwhile."""
    deadline_s = time.monotonic() + _LOCK_FREE_WITHIN_S
    while True:
        try:
            lock = workspace.own(files)
        except AlreadyRunning:
            if workspace.read_record(files) != record:
                _log.info("another emulation runs from %s by now", files.root)
                return
            # What it forked may take a moment to die with it, and holds the lock as long.
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_POLL_S)
            continue
        with closing(lock):
            if workspace.read_record(files) == record:
                workspace.erase_record(files)
        return


def _stop_network(number: int, files: RunFiles) -> None:
    """Remove what is left of a control network where it is this run directory's or nobody's; else name whose it is."""
    root = workspace.run_dir_of(number)
    try:
        lock = workspace.network_lock(number)
    except AlreadyRunning:
        _log.info("still running: %s", root)
        return
    with closing(lock):
        network = ControlNetwork(number)
        if root is None or root == files.root or not RunFiles.under(root).state.exists():
            for name in cleanup.remove_network(network):
                _log.info("removed %s", name)
        elif cleanup.leftovers(network):
            _log.info("left by a crash: %s (`dgc stop --run-dir %s` removes it)", root, root)


def emulate(
    grid: Grid, backend: str, options: EmulationOptions, on_healthy: Callable[[], None]
) -> None:
    """Bring a grid up, obey commands until a signal comes, and take it down again."""
    files = RunFiles.under(options.run_dir)
    with _interrupted_by_signals():
        started_s = time.monotonic()
        _log.info(
            "bringing up %s (%s): %d routers, %d power links",
            *(grid.name, backend, len(grid.routers), len(grid.links)),
        )
        emulation = make_emulation(grid, backend, options)
        try:
            emulation.start()
            with closing(ControlServer(emulation, files.control_socket)) as control:
                wait_healthy(emulation, options.northbound, _HEALTHY_WITHIN_S)
                _log.info(
                    "%s is up and healthy after %.1f s",
                    grid.name,
                    time.monotonic() - started_s,
                )
                if page := page_address(options.run_dir, _SERVING_WITHIN_S):
                    _log.info("the operator's page: %s", page)
                on_healthy()
                while True:
                    control.serve(emulation.let_clouds_pass())
        except KeyboardInterrupt:
            _log.info("stopping")
        finally:
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            emulation.stop()


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def log_progress() -> None:
    """For programs: the emulation says what it does."""
    log_to_standard_error(style="%(asctime)s %(levelname)s %(message)s")
