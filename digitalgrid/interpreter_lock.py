"""Interpreter lock: how long a thread of a daemon waits for its loop, where that is never idle.

Whoever writes to a database lets go of the lock for each statement, and waits for it behind each: for 5 ms by Python's
own setting, as long as the loop has something to do. A commit has a dozen such places, and those who wait for it wait
for all of them.
"""

import sys

# A turn of a loop is seldom shorter, and to take turns costs a fraction of it.
_SWITCH_S = 0.0002


def share_promptly() -> None:
    """Whoever waits for the lock has it within a fraction of a millisecond."""
    sys.setswitchinterval(_SWITCH_S)
