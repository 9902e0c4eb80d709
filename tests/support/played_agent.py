"""Stands for a router's agent: what its configuration says is how it behaves."""

import os
import signal
import sys
from pathlib import Path

from router_agent.failures import RESTART_STATUS


def run(config_path: Path) -> int:
    match config_path.read_text():
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "broken":
            raise ValueError("a broken configuration")
        case "defective":
            os.write(1, b"failed\n")
            return RESTART_STATUS
        case _:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.write(1, b"ready\n")
    while True:
        signal.pause()
