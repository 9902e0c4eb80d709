"""Where the operator's page of an emulation is, as its controller says when it starts."""

import re
import time
from pathlib import Path

from topologies.emulator.plan import RunFiles

_SAID = re.compile(r'page: (http://[^\s"]+)')
# What a controller says once it serves everything, the page if it has one.
_SERVES = "serving: northbound"
_LOOK_EVERY_S = 0.02


def page_address(run_dir: Path, within_s: float = 0.0) -> str:
    """Empty where it has none, or has not said so in that time: routers may be quicker than the page."""
    until_s = time.monotonic() + within_s
    while _SERVES not in (log := _log_of(run_dir)) and time.monotonic() < until_s:
        time.sleep(_LOOK_EVERY_S)
    said = _SAID.findall(log)
    return str(said[-1]) if said else ""


def _log_of(run_dir: Path) -> str:
    try:
        return RunFiles.under(run_dir).controller_log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
