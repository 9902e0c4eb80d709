"""Live tables: what a feed tells is shown again when it has changed, as a screen of its own on a terminal.

A thread takes events into what is known; the program's own draws it, now and then. Drawing takes a twentieth of a
core at most, however much there is to draw and however fast it changes.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from dgctl.terminal import Screen
from digitalgrid.columns import Part, parts_text

E = TypeVar("E")

# Between two drawings (s): on a terminal as often as eyes follow, in a pipe as often as somebody reads tables.
_SCREEN_S, _PIPE_S = 0.25, 1.0
# Seconds of pause for each second that a drawing took.
_PAUSES = 20.0
# How often (s) it is looked whether the terminal has another size.
_LOOK_S = 1.0


class Feeder(Generic[E]):
    """Takes events in a thread, under ``lock``; ``take`` says whether what is known can be shown by now.

    Several may share what they take to, and so the lock, and the event that is set by news.
    """

    def __init__(
        self,
        events: Iterable[E],
        take: Callable[[E], bool],
        lock: "threading.Lock | None" = None,
        news: threading.Event | None = None,
    ) -> None:
        self.lock = lock or threading.Lock()
        self.news = news or threading.Event()
        self.ready = False
        # Set once there are no more events, because they ended or failed.
        self.ended = threading.Event()
        self._failure: Exception | None = None
        self._events, self._take = events, take
        threading.Thread(target=self._run, daemon=True).start()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for event in self._events:
                with self.lock:
                    self.ready = self._take(event)
                if self.ready:
                    self.news.set()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that shows
            self._failure = error
        finally:
            self.ended.set()
            self.news.set()


@dataclass
class Remark:
    """What is to be said beside a table, such as that the connection is lost; elsewhere it goes to standard error."""

    say: Callable[[str], None]
    text: str = ""
    on_screen: bool = False

    def __call__(self, text: str) -> None:
        self.text = text
        if not self.on_screen:
            self.say(text)


def show_tables(
    feeder: Feeder[E], parts: Callable[[int | None], Iterable[Part]], remark: Remark
) -> None:
    """Tables until the events end, or somebody has seen enough; ``parts`` is told how many lines there are."""
    if not sys.stdout.isatty():
        show_texts(feeder, lambda: parts_text(parts(None), sys.stdout))
        return
    last = ""
    remark.on_screen = True
    with suppress(KeyboardInterrupt), Screen(sys.stdout) as screen:
        size = screen.size()
        while not feeder.ended.is_set():
            if not feeder.news.wait(_LOOK_S) and screen.size() == size:
                continue
            feeder.news.clear()
            size, begun_s = screen.size(), time.monotonic()
            with feeder.lock:
                last = parts_text(parts(size.lines - 1), sys.stdout) if feeder.ready else last
            screen.draw(last, remark.text)
            feeder.ended.wait(max(_SCREEN_S, _PAUSES * (time.monotonic() - begun_s)))
    # What was seen last stays on the terminal.
    sys.stdout.write(last)
    feeder.raise_failure()


def show_texts(feeder: Feeder[E], text: Callable[[], str]) -> None:
    """Likewise for programs: a text after another, each time that it is another."""
    last = ""
    with suppress(KeyboardInterrupt):
        while True:
            feeder.news.wait()
            feeder.news.clear()
            ended = feeder.ended.is_set()
            begun_s = time.monotonic()
            with feeder.lock:
                present = text() if feeder.ready else last
            if present != last:
                last = present
                sys.stdout.write(present)
                sys.stdout.flush()
            if ended:
                break
            feeder.ended.wait(max(_PIPE_S, _PAUSES * (time.monotonic() - begun_s)))
    feeder.raise_failure()
