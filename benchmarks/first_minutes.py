"""Measures a newcomer's first minutes: `make run` in a fresh clone, with an empty home, until power moves.

`make first-minutes` prints what each step took and the whole; Debian packages that this machine has already are not
installed again, and that is said. It needs nothing but Python: the clone has everything else to get.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[1]
# What a machine says of itself: where its programs are, how it reaches the network, and whom it trusts there.
_KEPT = ("PATH", "LANG", "TERM", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
_POWER = "0.1MW"
_MAX_S = 60.0
_TIMEOUT_S = 900


def main() -> int:
    """The exit status: 0 where power moved."""
    with tempfile.TemporaryDirectory(prefix="first-minutes-") as directory:
        clone, home = Path(directory, "clone"), Path(directory, "home")
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", str(_ROOT), str(clone)], check=True)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment = {**kept, "HOME": str(home)}
        if shutil.which("mn"):
            _say("Debian packages: there already; add some 15 s where they are not")
        began_s = time.monotonic()
        try:
            _run(["make", "run"], clone, environment)
            running_s = time.monotonic() - began_s
            request = ["request", "--sink", _sink(clone, environment), "--power", _POWER, "--wait"]
            _run([str(clone / ".venv/bin/dgctl"), *request], clone, environment)
            took_s = time.monotonic() - began_s
        finally:
            _run(["make", "stop"], clone, environment)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    verdict = "within" if took_s <= _MAX_S else "more than"
    _say(f"the network runs after {running_s:.0f} s")
    _say(
        f"power moves after {took_s:.0f} s: {verdict} the {_MAX_S:g} s asked for on two idle cores"
    )
    _say(f"the steps of the set-up used a processor for {used.ru_utime + used.ru_stime:.0f} s")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _sink(clone: Path, environment: Mapping[str, str]) -> str:
    """A load of the example."""
    command = [str(clone / ".venv/bin/dgctl"), "-o", "json", "topology"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["loads"][0]["loadId"])


def _run(command: list[str], where: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(command, cwd=where, env=environment, check=True, timeout=_TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
