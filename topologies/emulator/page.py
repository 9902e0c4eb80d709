"""Where the operator's page of an emulation is, as its controller says when it starts."""

import re
from pathlib import Path

from topologies.emulator.plan import RunFiles

_SAID = re.compile(r'page: (http://[^\s"]+)')


def page_address(run_dir: Path) -> str:
    """Empty where it has none."""
    try:
        log = RunFiles.under(run_dir).controller_log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    said = _SAID.findall(log)
    return str(said[-1]) if said else ""
