"""Watching a controller for longer than it runs."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from digitalgrid.client import ControllerUnreachable

T = TypeVar("T")

# Pause (s) before a watch that broke off is begun again.
_RETRY_S = 1.0


def watched(
    watch: Callable[[], Iterator[T]], say: Callable[[str], None], retry_s: float = _RETRY_S
) -> Iterator[T]:
    """The events of one watch after another: a controller that was there once is waited for, and both are said.

    Each watch begins with a snapshot, so nothing is missed. Raises ControllerUnreachable where it never was there.
    """
    seen = lost = False
    while True:
        try:
            for event in watch():
                if lost:
                    say("connected again; everything follows anew")
                seen, lost = True, False
                yield event
            return
        except ControllerUnreachable as error:
            if not seen:
                raise
            if not lost:
                say(f"connection lost ({error.code.name}: {error.message}); waiting for it")
            lost = True
            time.sleep(retry_s)
