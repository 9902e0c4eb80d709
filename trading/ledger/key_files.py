"""Key files: the 32 secret bytes of an Ed25519 key in hex, in a file that nobody but its owner may read."""

import os
import stat
import tempfile
from pathlib import Path

from digitalgrid.config_file import open_regular
from digitalgrid.errors import ExplainedError
from trading.ledger.keys import SigningKey

_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What ends the name of a key that is being written. Beside a key that is there, it is what a maker who was killed left.
_UNFINISHED = ".making"
# Bytes: two digits each of 32, and room for a line's end; whatever is longer is no key.
_MOST_BYTES = 80


class BadKeyFile(ExplainedError):
    """A file that holds no key, or that more than its owner can read."""


def read_key(path: Path) -> SigningKey:
    """Raises :class:`BadKeyFile`, and OSError where there is no file that can be read."""
    with open(path, "rb", opener=open_regular) as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & _FOR_OTHERS:
            raise BadKeyFile(
                f"{path} can be used by others than its owner; `chmod 600` it, and make a new key if"
                " somebody may have read it"
            )
        content = file.read(_MOST_BYTES + 1)
    try:
        return SigningKey.of_seed(bytes.fromhex(content.decode("ascii").strip()))
    except ValueError as error:
        raise BadKeyFile(
            f"{path} holds no key: 64 hexadecimal digits are one; `dgm keygen FILE` makes it"
        ) from error


def write_new_key(path: Path) -> SigningKey:
    """A new key in a new file, durable and whole from the moment it is there, wherever its maker is killed. Raises
    FileExistsError: no key is ever written over.
    """
    key = SigningKey.new()
    # For its owner only, as all that mkstemp makes.
    descriptor, name = tempfile.mkstemp(_UNFINISHED, f".{path.name}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.seed.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a renaming, it fails where something has the name.
        os.link(name, path)
    finally:
        Path(name).unlink()
    flush_directory(path.parent)
    return key


def remove_unfinished(path: Path) -> None:
    """What makers of the key ``path`` who were killed have left: half of a key, or a second name of the secret. Not
    while another makes it.
    """
    for each in path.parent.iterdir():
        if each.name.startswith(f".{path.name}.") and each.name.endswith(_UNFINISHED):
            each.unlink()


def flush_directory(directory: Path) -> None:
    """Which names are in it is durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
