"""An exchange that is killed, as by kill -9, at one commit of its journal: of the first trade that comes to a state.

``DIES=held:before`` or ``held:after`` in its environment says which, and whether the commit is still made.
"""

import os
import signal
from collections.abc import Sequence

from trading.cli import main as dgm
from trading.exchange.journal import Journal
from trading.market.records import Record, TradeRecord


def main() -> None:
    state, when = os.environ["DIES"].split(":")
    commit = Journal._commit

    def dying(journal: Journal, records: Sequence[Record]) -> None:
        comes = any(isinstance(r, TradeRecord) and r.trade.state == state for r in records)
        if comes and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(journal, records)
        if comes:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal._commit = dying  # type: ignore[method-assign,assignment]  # of this process only
    dgm()


if __name__ == "__main__":
    main()
