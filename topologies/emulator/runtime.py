"""Runs an emulation: in the foreground until a signal, or in the background; and removes it."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from digitalgrid.gridfile import Grid
from topologies.emulator import addresses, cleanup, ovs, workspace
from topologies.emulator.backends import make_emulation
from topologies.emulator.control import ControlServer
from topologies.emulator.errors import AlreadyRunning, EmulationError
from topologies.emulator.health import wait_healthy
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.processes import end_process
from topologies.emulator.topology_file import load_network
from topologies.emulator.workspace import MACHINE_LOCK, Lock

log = logging.getLogger(__name__)

_HEALTHY_WITHIN_S = 60.0
_STOP_GRACE_S = 60.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_HEALTHY = "healthy"


def run(
    file: str | Path,
    *,
    backend: str = "mininet",
    control_switches: int | None = None,
    run_dir: Path = Path(".run"),
    northbound: str = addresses.NORTHBOUND_ADDRESS,
    southbound_port: int = addresses.SOUTHBOUND_PORT,
) -> int:
    """Emulate a grid file or topology file until SIGTERM or SIGINT; returns the exit status.

    ConfigError or EmulationError where it cannot be brought up; nothing is left then.
    """
    _log_to_standard_error()
    grid = load_network(str(file))
    options = EmulationOptions(
        run_dir=run_dir,
        control_switches=control_switches or 0,
        northbound=northbound,
        southbound_port=southbound_port,
    )
    _emulate(grid, backend, options, on_healthy=lambda: None)
    return 0


def start_in_background(
    file: str | Path,
    *,
    backend: str = "mininet",
    control_switches: int | None = None,
    run_dir: Path = Path(".run"),
    northbound: str = addresses.NORTHBOUND_ADDRESS,
    southbound_port: int = addresses.SOUTHBOUND_PORT,
) -> int:
    """Like :func:`run`, in a process of its own; returns 0 once the network is healthy.

    Call it from a process that has one thread. ConfigError or EmulationError where it cannot be
    brought up; nothing is left then.
    """
    grid = load_network(str(file))
    options = EmulationOptions(
        run_dir=run_dir,
        control_switches=control_switches or 0,
        northbound=northbound,
        southbound_port=southbound_port,
    )
    files = RunFiles.under(run_dir)
    files.root.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _run_detached(grid, backend, options, files, write_end)
    os.close(write_end)
    with os.fdopen(read_end) as reader:
        # A line, not all up to the end: agents forked meanwhile hold the pipe open as well.
        outcome = reader.readline().strip()
    if outcome == _HEALTHY:
        return 0
    os.waitpid(pid, 0)
    raise EmulationError(
        outcome or f"the emulation died while it started; see {files.emulator_log}"
    )


def stop(run_dir: Path = Path(".run")) -> None:
    """Remove an emulation: end it where it runs, and take away what it left where it crashed."""
    files = RunFiles.under(run_dir)
    record = workspace.read_record(files)
    if record is not None:
        end_process(record.emulator, _STOP_GRACE_S)
    if os.geteuid() == 0:
        try:
            lock = Lock(MACHINE_LOCK, "the control network of this machine")
        except AlreadyRunning as error:
            log.info("the control network stays: %s", error)
        else:
            for name in cleanup.remove_network():
                log.info("removed %s", name)
            if record is not None and record.started_open_vswitch:
                ovs.stop_unless_used()
            lock.release()
    workspace.erase_record(files)


def _run_detached(
    grid: Grid, backend: str, options: EmulationOptions, files: RunFiles, write_end: int
) -> None:
    """The rest of the forked process."""
    status = 1
    try:
        os.setsid()
        with files.emulator_log.open("a") as output, Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        _log_to_standard_error()

        with os.fdopen(write_end, "w") as starter:

            def report(outcome: str) -> None:
                if not starter.closed:
                    starter.write(outcome.replace("\n", " ") + "\n")
                    starter.close()

            try:
                _emulate(grid, backend, options, on_healthy=lambda: report(_HEALTHY))
                status = 0
            except EmulationError as error:
                log.error("%s", error)
                report(str(error))
    except Exception:
        log.exception("the emulation ends after an error")
    finally:
        logging.shutdown()
        os._exit(status)


def _emulate(
    grid: Grid, backend: str, options: EmulationOptions, on_healthy: Callable[[], None]
) -> None:
    files = RunFiles.under(options.run_dir)
    with _interrupted_by_signals():
        started_s = time.monotonic()
        emulation = make_emulation(grid, backend, options)
        try:
            emulation.start()
            with closing(ControlServer(emulation, files.control_socket)) as control:
                wait_healthy(emulation, options.northbound, _HEALTHY_WITHIN_S)
                log.info(
                    "%s is up and healthy after %.1f s: %d routers, %d power links",
                    grid.name,
                    time.monotonic() - started_s,
                    len(grid.routers),
                    len(grid.links),
                )
                on_healthy()
                while True:
                    control.serve()
        except KeyboardInterrupt:
            log.info("stopping")
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


def _log_to_standard_error() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
