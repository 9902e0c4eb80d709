"""State diagram of trades, from the table that the code runs on."""

from digitalgrid.state_diagram import state_diagram
from trading.core.saga import TRANSITIONS
from trading.core.trades import State


def trade_diagram() -> str:
    return state_diagram(TRANSITIONS, [State.MATCHED], [s for s in State if s.ended])


if __name__ == "__main__":
    print(trade_diagram())  # noqa: T201 - `python -m` pastes it into the documentation
