"""The run directory of an emulation: configurations, logs, and the record of what runs."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from digitalgrid.yaml_text import to_yaml
from topologies.emulator.addresses import MAX_NETWORKS
from topologies.emulator.errors import AlreadyRunning, EmulationError
from topologies.emulator.plan import RunFiles
from topologies.emulator.processes import ProcessId

# Held while the control network of a number is up.
_NETWORK_LOCK = "/run/digitalgrid-emulation{}.lock"
# Held while a number and a subnet are chosen.
_CHOICE_LOCK = Path("/run/digitalgrid-emulation.choice")
_OF = ", run directory "
# Of a lock's text: the longest path and what stands before it.
_MAX_TEXT_BYTES = 8192


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What must be known to remove an emulation whose process died."""

    backend: str
    emulator: ProcessId


def prepare(files: RunFiles) -> "Lock":
    """Make the run directory ours, without anything that an earlier emulation left in it.

    AlreadyRunning where an emulation runs in it.
    """
    files.root.mkdir(parents=True, exist_ok=True)
    lock = own(files)
    lock.sign(files.root)
    shutil.rmtree(files.routers, ignore_errors=True)
    for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
        files.controller_store.with_name(files.controller_store.name + suffix).unlink(True)
    files.controller_log.unlink(True)
    files.control_socket.unlink(True)
    return lock


def own(files: RunFiles) -> "Lock":
    """The right to what stands in the run directory. AlreadyRunning where another process has it."""
    return Lock(files.lock, f"run directory {files.root}")


def write_yaml(path: Path, document: dict[str, Any], *, secret: bool = False) -> None:
    """Write a configuration file, with one line for each link, source and load; a ``secret`` one for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if secret:
        path.touch()
        path.chmod(0o600)
    path.write_text(to_yaml(document, lines=True), encoding="utf-8")


def write_targets(files: RunFiles, targets: list[dict[str, Any]]) -> None:
    """Write where Prometheus finds the routers; no file where it finds none."""
    files.router_metrics.unlink(True)
    if targets:
        files.router_metrics.write_text(json.dumps(targets, indent=1) + "\n")


def write_record(files: RunFiles, record: RunRecord) -> None:
    """Replace the record as a whole: a reader sees the old one or the new one."""
    draft = files.state.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record)) + "\n")
    draft.replace(files.state)


def read_record(files: RunFiles) -> RunRecord | None:
    """None where no emulation was started, or it was removed."""
    try:
        text = files.state.read_text()
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
        return RunRecord(document["backend"], ProcessId(**document["emulator"]))
    except (ValueError, KeyError, TypeError) as error:
        raise EmulationError(f"{files.state}: not a record of an emulation; delete it") from error


def erase_record(files: RunFiles) -> None:
    """Nothing of the emulation is left."""
    files.state.unlink(True)
    files.control_socket.unlink(True)


def network_lock(number: int) -> "Lock":
    """The right to the control network of a number; whoever brings it up signs. AlreadyRunning where another has it.

    Take it while :func:`choosing`: then who looks whether a network runs is never in the way of who takes it.
    """
    return Lock(_network_lock(number), f"control network {number}")


def used_numbers() -> list[int]:
    """The control networks that were ever up since the machine was."""
    return [number for number in range(MAX_NETWORKS) if _network_lock(number).exists()]


def is_held(number: int) -> bool:
    """Whether somebody has the control network of a number: it runs, starts or is being removed."""
    try:
        network_lock(number).close()
    except AlreadyRunning:
        return True
    return False


def run_dir_of(number: int) -> Path | None:
    """The run directory of who had the control network of a number last, where that is known."""
    try:
        _, of, root = _network_lock(number).read_text(encoding="utf-8").partition(_OF)
    except FileNotFoundError:
        return None
    return Path(root.strip()) if of else None


@contextmanager
def choosing() -> Iterator[None]:
    """One at a time looks which networks are there, and takes what is free."""
    descriptor = os.open(_CHOICE_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _network_lock(number: int) -> Path:
    return Path(_NETWORK_LOCK.format(f"-{number}" if number else ""))


class Lock:
    """Held by one process at a time, and let go by the kernel when that ends."""

    def __init__(self, path: Path, purpose: str) -> None:
        """AlreadyRunning, saying who and what to do, where somebody holds it. Says itself who had it last."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, _MAX_TEXT_BYTES).decode(errors="replace").strip()
            os.close(self._descriptor)
            process, _, where = holder.partition(_OF)
            raise AlreadyRunning(
                f"{purpose} is in use by {process}; stop that first (`dgc stop --run-dir {where}`)"
            ) from error

    def sign(self, root: Path) -> None:
        """Say that this process has it, for a run directory."""
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()}{_OF}{root}\n".encode())

    def close(self) -> None:
        """Safe to call again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
