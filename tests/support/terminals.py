"""Programs whose standard error is a terminal."""

import os
import pty
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

_READ_BYTES = 1 << 16


def at_terminal(
    command: Sequence[str], within_s: float
) -> tuple[subprocess.CompletedProcess[bytes], str]:
    """It, once it has ended, and all that the terminal was told, which is read meanwhile: one that nobody reads holds
    up who writes much. Raises TimeoutExpired.
    """
    ours, theirs = pty.openpty()
    told: list[bytes] = []
    reader = Thread(target=_read, args=(ours, told), daemon=True)
    reader.start()
    try:
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=theirs, timeout=within_s, check=False
        )
    finally:
        os.close(theirs)
        reader.join(within_s)
        os.close(ours)
    return ended, b"".join(told).decode()


def _read(terminal: int, told: list[bytes]) -> None:
    # With an error it ends where nobody has its other end any more.
    with suppress(OSError):
        while part := os.read(terminal, _READ_BYTES):
            told.append(part)
