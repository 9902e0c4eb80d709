"""Programs of the distribution that some tests need."""

import os
import shutil

import pytest

# Before a command, which then ends with whoever started it. Not by a preexec_fn: a fork without an exec of its own does
# not survive gRPC's threads.
DIES_WITH_PARENT = ("setpriv", "--pdeathsig=KILL")


def require_program(program: str, package: str) -> str:
    """Its path. Skips the test where it is not installed, unless it must be; ``package`` is Debian's."""
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"{program} is not installed (Debian: {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
