"""What a process that ended by itself had to say."""

from pathlib import Path

from topologies.emulator.errors import Unhealthy

# The end of its log is where a program says why it ended.
_LINES = 3


def ended_by_itself(what: str, log_path: Path) -> Unhealthy:
    """The error that says so, with the last lines of the process's log and where the rest is."""
    try:
        lines = log_path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    words = [line for line in lines if line.strip()][-_LINES:] or ["(its log is empty)"]
    return Unhealthy("\n  ".join([f"{what} ended by itself:", *words, f"see {log_path}"]))
