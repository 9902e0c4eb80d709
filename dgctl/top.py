"""``dgctl top``: the network live in the terminal, from the feeds."""

import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from dgctl.formats import Format
from dgctl.options import Settings, common, pass_settings

if TYPE_CHECKING:
    from dgctl.live import Remark
    from dgctl.terminal import Screen
    from dgctl.top_screen import Look
    from digitalgrid.client import PowerClient
    from digitalgrid.v1 import northbound_pb2 as pb

# How often (s) it is looked for keys and news.
_LOOK_S = 0.2
# Seconds of pause for each second that a drawing took: 2 % of a core at most, unless keys are struck.
_PAUSES = 50.0
# Between two drawings (s): nobody reads faster.
_LEAST_S = 0.5


@click.command()
@click.option(
    "-f",
    "--file",
    envvar="DGCTL_TOP",
    type=click.Path(),
    metavar="FILE",
    default="",
    help="Which columns to show, and what to sort by at first (or DGCTL_TOP).  [default: ~/.config/dgctl/top.yaml, if"
    " there is one]",
)
@common
@pass_settings
def top(settings: Settings, file: str) -> None:
    """Shows the network live: totals, lines by load, routers that are late, circuits worst first.

    / filters, s sorts, x shows a tree of sources, circuits and hops, ? shows all keys, q leaves.
    """
    if settings.output is not Format.TABLE:
        raise click.UsageError("top is for people; programs read `dgctl watch -o json`")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("top needs a terminal; `dgctl list` and `dgctl watch` do not")
    from dgctl.live import Remark
    from dgctl.output import say
    from dgctl.top_file import load_top
    from dgctl.top_screen import Look

    look, remark = Look(load_top(file)), Remark(say, on_screen=True)
    with settings.client() as client:
        _Top(client, look, remark).run()


class _Top:
    """Two feeds into what is known, and the screen that shows it."""

    def __init__(self, client: "PowerClient", look: "Look", remark: "Remark") -> None:
        from dgctl.live import Feeder
        from dgctl.top_screen import Known
        from dgctl.watching import watched

        self._known, self._look, self._remark = Known(), look, remark
        self._lock, self._news = threading.Lock(), threading.Event()
        shared = (self._lock, self._news)
        circuits = watched(lambda: iter(enumerate(client.watch_circuits())), remark)
        topologies = watched(client.watch_topology, remark)
        self._feeders: tuple[Feeder[Any], ...] = (
            Feeder(circuits, self._take_circuit, *shared),
            Feeder(topologies, self._take_topology, *shared),
        )

    def _take_circuit(self, told: "tuple[int, pb.WatchCircuitsResponse]") -> bool:
        self._known.take_circuit(told[0] == 0, told[1])
        return True

    def _take_topology(self, topology: "pb.Topology") -> bool:
        self._known.take_topology(topology)
        return True

    def run(self) -> None:
        """Until somebody leaves, or a feed fails for good."""
        from dgctl.terminal import Screen, keys_at_once

        with suppress(KeyboardInterrupt), Screen(sys.stdout) as screen, keys_at_once():
            self._show(screen)
        for feeder in self._feeders:
            feeder.raise_failure()

    def _show(self, screen: "Screen") -> None:
        from dgctl.terminal import next_key

        size, next_s = screen.size(), 0.0
        while not any(feeder.ended.is_set() for feeder in self._feeders):
            key = next_key(_LOOK_S)
            if key and not self._look.press(key):
                return
            now_s = time.monotonic()
            is_new = self._news.is_set() and now_s >= next_s
            if not (key or is_new or screen.size() != size):
                continue
            self._news.clear()
            size = screen.size()
            self._draw(screen)
            taken_s = time.monotonic() - now_s
            next_s = now_s + max(_LEAST_S, _PAUSES * taken_s)

    def _draw(self, screen: "Screen") -> None:
        from digitalgrid.columns import parts_text

        with self._lock:
            if not self._known.is_whole:
                return
            text = parts_text(self._look.parts(self._known, screen.size()), sys.stdout)
        status = self._look.status()
        screen.draw(text, f"{status}   {self._remark.text}" if self._remark.text else status)
