"""Measures a newcomer's first minutes: `make run` in a fresh clone, with an empty home, and the tutorial's commands,
until power moves and to their end. Reading is left out.

`make first-minutes` prints what each step took and the whole; Debian packages that this machine has already are not
installed again, and that is said. It needs nothing but Python: the clone has everything else to get.
"""

import os
import re
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
_MAX_S = 60.0
# "Ten minutes", of which whoever reads has what the commands leave.
_TUTORIAL_MAX_S = 600.0
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
            to_power, on_from_there = _tutorial(clone)
            _run(["bash", "-euc", to_power], clone, environment)
            took_s = time.monotonic() - began_s
            _run(["bash", "-euc", on_from_there], clone, environment)
            all_s = time.monotonic() - began_s
        finally:
            _run(["make", "stop"], clone, environment)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    verdict = "within" if took_s <= _MAX_S else "more than"
    _say(f"the network runs after {running_s:.0f} s")
    _say(
        f"power moves after {took_s:.0f} s: {verdict} the {_MAX_S:g} s asked for on two idle cores"
    )
    verdict = "within" if all_s <= _TUTORIAL_MAX_S else "more than"
    _say(f"all commands of the tutorial are done after {all_s:.0f} s: {verdict} its ten minutes")
    _say(f"all of that used a processor for {used.ru_utime + used.ru_stime:.0f} s")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tutorial(clone: Path) -> tuple[str, str]:
    """Its commands until a load has power, and those that follow."""
    text = (clone / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    first = next(at for at, block in enumerate(blocks) if " --wait" in block) + 1
    # Where programs are is said once, in the first.
    where, _, _ = blocks[0].partition("\n")
    return "".join(blocks[:first]), "\n".join((where, *blocks[first:]))


def _run(command: list[str], where: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(command, cwd=where, env=environment, check=True, timeout=_TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
