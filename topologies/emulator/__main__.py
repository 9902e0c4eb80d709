"""The process of an emulation in the background; started by :mod:`topologies.emulator.background`.

Run as ``python -m topologies.emulator FD REQUEST``; the outcome, in words, is written to FD.
"""

import json
import logging
import os
import sys
from typing import Any

from digitalgrid.errors import ExplainedError
from topologies.emulator.background import HEALTHY
from topologies.emulator.network_file import load_network
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.runtime import emulate, log_progress

_log = logging.getLogger(__name__)


def main() -> int:
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    request: dict[str, Any] = json.loads(sys.argv[2])
    options = EmulationOptions.from_plain(request["options"])
    log_progress()
    with os.fdopen(descriptor, "w") as starter:

        def report(outcome: str) -> None:
            if not starter.closed:
                starter.write(outcome)
                starter.close()

        try:
            grid = load_network(request["file"])
            emulate(grid, request["backend"], options, on_healthy=lambda: report(HEALTHY))
        except ExplainedError as error:
            _log.error("%s", error)
            report(str(error))
            return 1
    return 0


sys.exit(main())
