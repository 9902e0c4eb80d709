"""Controllers that begin interpreted and go on compiled, as they do where nobody says otherwise."""

from collections.abc import Callable

import pytest

from digitalgrid.client import ControllerUnreachable, PowerClient
from tests.support.patience import wait_for

# As long as compiling all kernels may take on a machine that is busy with other things.
_COMPILING_S = 600


def on_both_engines(test: Callable[..., None]) -> Callable[..., None]:
    """The controllers that this test starts load kernels, which others do without."""
    automatic = pytest.mark.parametrize("engine_of_controllers", ["auto"], indirect=True)
    marked: Callable[..., None] = pytest.mark.timeout(_COMPILING_S)(automatic(test))
    return marked


def wait_until_compiled(client: PowerClient) -> None:
    """Return when the compiled engine has taken over; nobody tells clients, so they ask."""

    def has_taken_over() -> bool:
        try:
            return client.get_topology().engine == "compiled"
        except ControllerUnreachable:
            return False

    wait_for(has_taken_over)
