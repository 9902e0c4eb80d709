"""What `dgc serve` needs of this machine, looked at without starting: whatever would make it refuse is found here too.

Nothing is changed, and nothing stays open.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from controller.config import ControllerConfig, StoreConfig
from controller.runtime.descriptors import TooFewDescriptors, southbound_connections
from controller.store.protocol import StoreError
from controller.store.sqlite.file import open_to_read
from controller.store.sqlite.lock import resolved
from digitalgrid.addresses import Address
from digitalgrid.bounds import InvalidValue


def problems(config: ControllerConfig) -> Iterator[InvalidValue]:
    """Each names the key that it comes from."""
    for path, address in config.listeners():
        trouble = _listening_trouble(address)
        if trouble:
            yield InvalidValue(
                *path, message=f"is '{address}', which cannot be listened on: {trouble}"
            )
    if not config.store.etcd.endpoints:
        trouble = _store_trouble(config.store)
        if trouble:
            yield InvalidValue("store", "path", message=f"is {config.store.path!r}: {trouble}")
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


def _store_trouble(store: StoreConfig) -> str:
    """Why the store cannot be led with; empty where it can."""
    path = resolved(Path(store.path))
    try:
        present = path.stat()
    except FileNotFoundError:
        return _directory_trouble(path)
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if stat.S_ISDIR(present.st_mode):
        return ""  # Which loading the file says.
    if not stat.S_ISREG(present.st_mode):
        return "is no regular file; name another"
    if not os.access(path, os.R_OK | os.W_OK):
        return "cannot be read and written by this user; give it that right"
    return _directory_trouble(path) or _lock_trouble(path) or _contents_trouble(path)


def _directory_trouble(path: Path) -> str:
    """Missing ones are made; so it is the lowest of those that are there that must be writable."""
    directory = next(each for each in path.parents if each.exists())
    if not directory.is_dir():
        return f"{directory} is no directory"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"the directory {directory} must be writable by the user of the daemon"
    return ""


def _lock_trouble(path: Path) -> str:
    lock = Path(f"{path}.lock")
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return "another daemon uses this store; stop it, or give this one another"
    except OSError as error:
        return f"{lock} cannot be opened: {error.strerror}"
    return ""


def _contents_trouble(path: Path) -> str:
    try:
        # Older ones are migrated by whoever leads with them.
        open_to_read(path, oldest=1).close()
    except StoreError as error:
        return str(error)
    return ""
