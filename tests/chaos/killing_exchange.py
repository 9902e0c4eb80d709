"""An exchange that kills somebody, itself or the controller, as by kill -9, when a trade first comes to a state.

What it waits for stands in a file, which ``KILLS`` in its environment names, and which it deletes when it has come.
"""

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trading.cli import main as dgm
from trading.core.trades import State
from trading.exchange.journal import Journal
from trading.market.records import Record, TradeRecord

KILLS = "KILLS"
PROGRAM = "from tests.chaos.killing_exchange import main; main()"


class Killing(msgspec.Struct, frozen=True):
    """Of ``victim``, a pid, or of the exchange itself (0): before the journal has the state, or ``delay_s`` after."""

    state: State
    is_before: bool = False
    victim: int = 0
    delay_s: float = 0.0

    def write(self, path: Path) -> None:
        """As a whole: it is read at any moment."""
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(path)

    def kill(self) -> None:
        if self.delay_s:
            threading.Timer(self.delay_s, self._kill).start()
        else:
            self._kill()

    def _kill(self) -> None:
        os.kill(self.victim or os.getpid(), signal.SIGKILL)


def main() -> None:
    path = Path(os.environ[KILLS])
    commit = Journal._commit

    def killing(journal: Journal, records: Sequence[Record]) -> None:
        order = order_for(path, records)
        if order is not None:
            path.unlink()
            if order.is_before:
                order.kill()
        commit(journal, records)
        if order is not None and not order.is_before:
            order.kill()

    Journal._commit = killing  # type: ignore[method-assign,assignment]  # of this process only
    dgm()


def order_for(path: Path, records: Sequence[Record]) -> Killing | None:
    """Which there is, if one of these records is what it waits for."""
    try:
        order = msgspec.json.decode(path.read_bytes(), type=Killing)
    except FileNotFoundError:
        return None
    states = {each.trade.state for each in records if isinstance(each, TradeRecord)}
    return order if order.state in states else None


if __name__ == "__main__":
    main()
