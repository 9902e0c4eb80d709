"""Retries with exponential backoff while etcd is out of reach; each trouble is logged once."""

import logging

_log = logging.getLogger(__name__)

# Pauses (s) between attempts, doubled after each: an election of etcd's takes a fraction of a second, and what lasts
# longer is asked for once a second.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class Troubles:
    """Of one thread, which does ``what``."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told: set[str] = set()
        self._pause_s = _FIRST_PAUSE_S

    def note(self, error: Exception) -> float:
        """Say what is new about it; how many seconds to wait before the next attempt."""
        if str(error) not in self._told:
            self._told.add(str(error))
            _log.warning("%s: %s; trying again", self._what, error)
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return pause_s

    def note_unexpected(self, error: Exception) -> float:
        """The same for what can only be a mistake of the program, with all that helps to find it."""
        if str(error) not in self._told:
            _log.critical("%s: failed by a mistake in the program", self._what, exc_info=error)
        return self.note(error)

    def over(self) -> None:
        if self._told:
            _log.info("%s: works again", self._what)
            self._told.clear()
        self._pause_s = _FIRST_PAUSE_S
