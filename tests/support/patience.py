"""How long tests wait for what is to come: this ends what hangs, and says nothing of how fast things are."""

import time
from collections.abc import Callable

# Below the `timeout` of pytest, which would not say what was waited for; many times what anything takes here on a
# machine that is busy with other things.
PATIENCE_S = 150.0


def wait_for(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
    """Seconds until it came true, of what tells nobody that it has happened."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() < began_s + patience_s, "it never came true"
        time.sleep(0.01)
    return time.monotonic() - began_s
