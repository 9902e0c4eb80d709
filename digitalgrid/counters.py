"""Metrics: counters of this process for what happens seldom and should be seen, for tests and exporters."""

import threading
from collections import Counter


class Counters:
    """Counts by name and label, from any thread. Names and labels are the program's words, never a peer's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, label: str = "", count: int = 1) -> None:
        with self._lock:
            self._counts[name, label] += count

    def value(self, name: str, label: str = "") -> int:
        with self._lock:
            return self._counts[name, label]

    def snapshot(self) -> dict[tuple[str, str], int]:
        """All that were ever counted, by name and label."""
        with self._lock:
            return dict(self._counts)


COUNTERS = Counters()
