"""Progress on a terminal: what a program does just now, and for how long; where no terminal is, nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Whoever does the work calls what this yields with each phase that begins. It is erased at the end."""
    if not sys.stderr.isatty():
        yield lambda phase: None
        return
    # Here, so that nobody waits for it in a pipe.
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("")

        def begin(phase: str) -> None:
            shown.reset(task, description=phase)

        yield begin
