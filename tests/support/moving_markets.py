"""A simulated exchange whose meters have keys, and move to the log of another and back while it trades and crashes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from tests.support.market_exchange import ExchangeWorld
from tests.support.market_settings import PARTIES, SETTINGS
from tests.support.meters import depart, log, register
from trading.core.positions import Position
from trading.ledger.keys import SigningKey
from trading.market.settings import MarketSettings
from trading.reasons import Refused

METERS = {
    party: SigningKey.of_seed(bytes(30) + bytes([7, number]))
    for number, party in enumerate(PARTIES)
}
KEYED = msgspec.structs.replace(
    SETTINGS,
    meters=tuple(
        msgspec.structs.replace(each, public_key=METERS[each.party].public_key)
        for each in SETTINGS.meters
    ),
)


@dataclass
class MovingWorld(ExchangeWorld):
    """``under_way``: of parties whose meters leave or come, what the log is to be told once all that was decided before
    is durable. ``moves`` are those that were made, ``kept`` those that were refused.
    """

    settings: MarketSettings = KEYED
    under_way: dict[str, Callable[[], None]] = field(default_factory=dict)
    moves: int = 0
    kept: int = 0
    lost_moves: int = 0

    def __post_init__(self) -> None:
        self.movers = np.random.default_rng([self.seed, 99])
        self.elsewhere = log(6)
        super().__post_init__()
        for party in PARTIES[1:]:
            register(self.ledger.book, key=METERS[party])
        register(self.elsewhere, key=METERS[PARTIES[0]])

    def step(self, *, may_begin: bool = True) -> None:
        draw = self.movers.random()
        party = PARTIES[int(self.movers.integers(len(PARTIES)))]
        if draw < 0.06:
            self.begin_move(party)
        elif draw < 0.2 and party in self.under_way and not self.unwritten:
            self.end_move(party)
        super().step(may_begin=may_begin)

    def end_move(self, party: str) -> None:
        self.under_way.pop(party)()
        self.moves += 1
        self.market.moves.end(METERS[party].public_key)

    def begin_move(self, party: str) -> None:
        key, here = METERS[party], self.ledger.book
        if party in self.under_way:
            return
        leaves = here.registered(key.public_key) is not None
        try:
            self.market.moves.begin(key.public_key, self.now_ns, leaves=leaves)
        except Refused:
            self.kept += 1
            return
        self.under_way[party] = lambda: self._leave(key) if leaves else self._come(key)

    def _leave(self, key: SigningKey) -> None:
        """The other exchange takes it at once."""
        here = self.ledger.book
        register(self.elsewhere, depart(here, self.elsewhere.log_id, key), key)

    def _come(self, key: SigningKey) -> None:
        here = self.ledger.book
        register(here, depart(self.elsewhere, here.log_id, key), key)

    def crash(self) -> None:
        """What the log was to be told it hears or not."""
        for party in [each for each in self.under_way if self.movers.random() < 0.5]:
            move = self.under_way.pop(party)
            if not self.unwritten:
                move()
                self.moves += 1
        self.lost_moves += len(self.under_way)
        self.under_way.clear()
        super().crash()

    def check(self) -> None:
        super().check()
        for party, key in METERS.items():
            logs = [
                book
                for book in (self.ledger.book, self.elsewhere)
                if book.registered(key.public_key) is not None
            ]
            assert len(logs) == 1, f"the meter of {party} is in {len(logs)} logs"
        for (meter_id, interval), position in self.market.positions.rows().items():
            is_held = position != Position() and interval.end_ns > self.now_ns
            meter = self.market.meters[meter_id]
            is_here = self.ledger.book.registered(meter.public_key) is not None
            assert is_here or not is_held, f"{meter_id} is sold here and elsewhere"
