"""The token of a page that is served beyond loopback: kept in a file of the daemon's user, so that pages that are open
go on when the daemon was started again.
"""

import os
import re
import secrets
import stat
from pathlib import Path

from digitalgrid.config_file import open_regular

# What an address can carry, and nobody guesses.
_FORM = re.compile(r"[A-Za-z0-9._~-]{16,256}")
_PRIVATE = 0o600


def kept_token(path: Path) -> str:
    """The token in a file, which is made where it is missing. OSError, which says what to do, where it is no secret."""
    found = read_token(path)
    if found:
        return found
    token = secrets.token_urlsafe(18)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        # Never readable by others, not for a moment.
        with os.fdopen(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w"
        ) as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return token


def read_token(path: Path) -> str:
    """Empty where there is no file. OSError where it is not the daemon's alone, or holds no token."""
    try:
        with open(path, encoding="ascii", errors="replace", opener=open_regular) as file:
            mode = os.fstat(file.fileno()).st_mode
            # A token is short, whatever else is there.
            text = file.read(4096).strip()
    except FileNotFoundError:
        return ""
    if stat.S_IMODE(mode) & ~_PRIVATE:
        raise PermissionError(
            f"the page's token in {path} can be read by others: remove the file, and another is made, or"
            f" `chmod 600 {path}`"
        )
    if not _FORM.fullmatch(text):
        raise OSError(
            f"{path} holds no token for the page: 16 to 256 letters, digits or any of - . _ ~ in one line; remove"
            " the file, and one is made"
        )
    return text
