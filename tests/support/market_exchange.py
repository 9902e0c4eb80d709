"""A simulated exchange: the real market and ledger, a simulated network, a journal in memory, lost calls and crashes.

What an exchange does in its loop is done here by chance and in any order: commands run, some of what they changed is
made durable, effects begin then, answers come or are lost; a crash forgets all but the journal.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from digitalgrid.units import NS_PER_S
from tests.support.market_invariants import check_market
from tests.support.market_journal import MemoryJournal
from tests.support.market_ledger import OPERATOR, MarketLedger, OfLedger
from tests.support.market_settings import PARTIES, SETTINGS, varied
from tests.support.market_steps import clear
from tests.support.market_world import LOST, UNDONE, Controller, readings_of
from trading.core.orders import Side, Tender, TimeInForce
from trading.core.settlement import DISPUTABLE, LineKind
from trading.core.trades import (
    Activate,
    AskMeters,
    Cancel,
    Closed,
    Effect,
    Hold,
    HoldLost,
    Read,
    Refusal,
    Release,
    Resolved,
    State,
    Trade,
    TradeEvent,
)
from trading.core.units import MicroPerKwh, Wh
from trading.market.disputes import Objection
from trading.market.market import Market
from trading.market.outcome import Ask, Clear, Outcome
from trading.market.records import Record, TradeRecord
from trading.market.settings import MarketSettings
from trading.reasons import Refused


@dataclass
class _Unwritten:
    records: Sequence[Record]
    effects: Sequence[Ask | Clear]


@dataclass
class ExchangeWorld:
    """One history. ``crash_at``: after so many commits there is a crash, and by chance none; ``crash_how``: before that
    commit, after it, or once its effects have begun.
    """

    seed: int
    lost: float = LOST
    crash_at: int | None = None
    crash_how: int = 0
    settings: MarketSettings = SETTINGS
    crashes: int = 0
    commits: int = 0
    now_ns: int = 0
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    unwritten: deque[_Unwritten] = field(default_factory=deque)
    requests: list[tuple[str, Effect]] = field(default_factory=list)
    answers: list[tuple[str, TradeEvent]] = field(default_factory=list)
    clears: list[Clear] = field(default_factory=list)
    states: dict[str, list[State]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.settings = varied(self.settings, self.seed)
        self.rng = np.random.default_rng(self.seed)
        self.controller = Controller(self)
        balances = dict.fromkeys((*PARTIES, OPERATOR), 2 * 10**9)
        self.ledger = MarketLedger(balances, lambda: self.now_ns, self._trade)
        self.total = self.ledger.book.total
        self.tendered = 0
        self.market = self._started()

    # What may happen

    def step(self, *, may_begin: bool = True) -> None:
        draw = self.rng.random()
        if draw < 0.25:
            self.commit()
        elif draw < 0.41 and self.requests:
            self._serve()
        elif draw < 0.47 and self.ledger.waiting:
            self._write()
        elif draw < 0.62 and self.answers:
            self._hear()
        elif draw < 0.66 and self.clears:
            self._clear()
        elif draw < 0.74:
            self._ask_again()
        elif draw < 0.82:
            self.pass_time(int(self.rng.exponential(NS_PER_S / 2)))
        elif draw < 0.835 and may_begin and self.crash_at is None:
            self.crash()
        elif draw < 0.85 and self.market.trades():
            self._disturb()
        elif draw < 0.87 and may_begin:
            self.cancel()
        elif may_begin:
            self.tender()
        self.check()

    def finish(self) -> None:
        """Nothing is lost any more, and time goes on until everything has ended."""
        self.lost = 0.0
        for _ in range(10_000):
            if self.has_ended():
                break
            self.step(may_begin=False)
            self.settle()
            self.pass_time(NS_PER_S // 4)
        self.settle()
        self.pass_time(600 * NS_PER_S)
        self.settle()

    def has_ended(self) -> bool:
        return not self.unwritten and all(
            not session.seqs for session in self.market.sessions.values()
        )

    def settle(self) -> None:
        """All that is on its way arrives."""
        while self.unwritten or self.requests or self.answers or self.clears or self.ledger.waiting:
            self.commit()
            if self.requests:
                self._serve()
            if self.ledger.waiting:
                self._write()
            if self.answers:
                self._hear()
            if self.clears:
                self._clear()

    def tender(self) -> None:
        """A few of one party at once."""
        party = str(self.rng.choice(PARTIES))
        made = []
        for _ in range(int(self.rng.integers(1, 4))):
            self.tendered += 1
            made.append(self._drawn(party))
        self.do(
            lambda now_ns: self.market.create(
                made,
                now_ns,
                mandate_holds=True,
                free=self.ledger.book.balance,
                registered=self.ledger.book.registered,
            )
        )

    def _drawn(self, party: str) -> Tender:
        tif = list(TimeInForce)[int(self.rng.choice([0, 0, 0, 1, 2, 3]))]
        wh = int(self.rng.integers(1, 600))
        soon_ns = self.now_ns + int(self.rng.integers(1, 5 * NS_PER_S))
        intervals = self.settings.rules.open_intervals(self.now_ns)
        interval = intervals[int(self.rng.integers(len(intervals)))]
        return Tender(
            f"o{self.tendered}",
            party,
            f"meter of {party}",
            Side.BUY if self.rng.random() < 0.5 else Side.SELL,
            Wh(wh),
            MicroPerKwh(int(self.rng.integers(-2, 30)) * 10_000),
            interval,
            tif,
            Wh(int(self.rng.integers(0, wh)) if self.rng.random() < 0.2 else 0),
            soon_ns if tif is TimeInForce.GTD else None,
            nonce=self.tendered,
        )

    def cancel(self) -> None:
        known = [row.order for row in self.market.orders.rows()]
        if known:
            order = known[int(self.rng.integers(len(known)))]
            self.tendered += 1
            self.do(
                lambda now_ns: self.market.cancel(
                    order.party, self.tendered, order.order_id, now_ns
                )
            )

    def do(self, command: Callable[[int], Outcome[Any]]) -> None:
        try:
            outcome = command(self.now_ns)
        except Refused as refused:
            self.refusals[refused.reason] += 1
            # It stays so: its nonce is used up.
            outcome = self.market.refused()
        if isinstance(outcome.answer, list):
            self.refusals.update(e.reason for e in outcome.answer if isinstance(e, Refused))
        if outcome.records or outcome.effects:
            self.unwritten.append(_Unwritten(outcome.records, outcome.effects))

    def commit(self) -> None:
        """Of what waits the first few commands become durable in one transaction, and what they ask for begins."""
        if not self.unwritten:
            return
        some = [
            self.unwritten.popleft() for _ in range(1 + int(self.rng.integers(len(self.unwritten))))
        ]
        self.commits += 1
        is_now = self.commits == self.crash_at
        if is_now and self.crash_how == 0:
            self.crash()
            return
        for each in some:
            self.journal.write(each.records)
            self._note(each.records)
        if is_now and self.crash_how == 1:
            self.crash()
            return
        for each in some:
            for effect in each.effects:
                self._begin(effect)
        if is_now:
            self.crash()

    def crash(self) -> None:
        """All that was not written is forgotten, and what waits for the ledger; what is on its way to others arrives
        all the same, and to the ledger's disk perhaps.
        """
        self.requests = [each for each in self.requests if not isinstance(each[1], OfLedger)]
        self.crashes += 1
        self.unwritten.clear()
        self.answers.clear()
        self.clears.clear()
        self._writing(lambda: self.ledger.crash(is_written=self.rng.random() < 0.5))
        self.market = self._started()

    def pass_time(self, by_ns: int) -> None:
        self.now_ns += by_ns
        self.controller.expire()
        while True:
            next_ns = self.market.next_deadline_ns()
            if next_ns is None or next_ns > self.now_ns:
                break
            self.do(self.market.tick)
            # What is left of what was begun, other things come between.
            if self.market.next_deadline_ns() == 0 and self.rng.random() < 0.5:
                break

    # What is always true

    def check(self) -> None:
        assert self.ledger.book.total == self.total, "money came or went"
        check_market(self.market)
        for trade_id, states in self.states.items():
            state = states[-1]
            has_escrow = self.ledger.book.has_escrow(trade_id)
            assert not (has_escrow and state.ended), "an escrow without a trade"
            if trade_id in self.ledger.signed:
                assert state not in UNDONE, "signed for, and undone"
        assert not self.ledger.revoked & self.ledger.signed, "signed after it was revoked"

    def restarted(self) -> Market:
        """What a daemon would begin with that is started on what is durable."""
        return Market(self.settings, self.journal.journalled())

    # Others

    def readings(self, key: str, wh: int) -> Read:
        return readings_of(self.seed, self.rng, key, wh)

    def _started(self) -> Market:
        market = self.market = self.restarted()
        self.do(market.resume)
        return market

    def _trade(self, trade_id: str) -> Trade:
        return self.journal.trades[trade_id].trade

    def _note(self, records: Sequence[Record]) -> None:
        for each in records:
            if isinstance(each, TradeRecord):
                states = self.states.setdefault(each.trade.trade_id, [])
                if not states or states[-1] is not each.trade.state:
                    assert not (states and states[-1].ended), "a trade ends once"
                    states.append(each.trade.state)

    def _begin(self, effect: Ask | Clear) -> None:
        if isinstance(effect, Clear):
            self.clears.append(effect)
        elif self.rng.random() >= self.lost:
            self.requests.append((effect.trade_id, effect.effect))

    def _ask_again(self) -> None:
        for row in list(self.market.trades()):
            trade_id = row.trade.trade_id
            is_durable = trade_id in self.states and not self.unwritten
            if is_durable and self.rng.random() < 0.3:
                for effect in self.market.wants(trade_id):
                    self._begin(Ask(trade_id, effect))

    def _disturb(self) -> None:
        """Somebody calls a trade off, gets his money back, decides a dispute; or a hold is lost."""
        rows = list(self.market.trades())
        if not rows:
            return
        trade = rows[int(self.rng.integers(len(rows)))].trade
        draw = self.rng.random()
        if trade.state is State.BILLED and draw < 0.7:
            self._object(trade)
        elif draw < 0.3:
            self.tell(trade.trade_id, Cancel("CANCELLED"))
        elif draw < 0.5:
            self.tell(trade.trade_id, HoldLost())
        elif draw < 0.8 and trade.state is State.DISPUTED:
            self.tell(trade.trade_id, Resolved(trade.ends[:1]))
        elif self.ledger.refund(trade.trade_id) and self.rng.random() >= self.lost:
            self.answers.append((trade.trade_id, Closed(is_refund=True)))

    def _object(self, trade: Trade) -> None:
        """To any line, whether it is on the bill or not; now and then it is none of his."""
        party = str(self.rng.choice(PARTIES))
        lines = [each for each in LineKind if each in DISPUTABLE]
        line = lines[int(self.rng.integers(len(lines)))]
        self.tendered += 1
        self.do(
            lambda now_ns: self.market.object_to(
                party, self.tendered, trade.trade_id, Objection(line, "no", ("c7",)), now_ns
            )
        )

    def tell(self, trade_id: str, event: TradeEvent) -> None:
        self.do(lambda now_ns: self.market.hear(trade_id, event, now_ns))

    def _serve(self) -> None:
        """Any of the requests on their way, not the first: they overtake each other."""
        name, asked = self.requests.pop(int(self.rng.integers(len(self.requests))))
        served: Mapping[type, Callable[..., TradeEvent]] = {
            Hold: self._hold,
            Activate: self.controller.activate,
            Release: self.controller.release,
            AskMeters: self.controller.meters,
        }
        if isinstance(asked, OfLedger):
            self.ledger.ask(asked, partial(self._answered, name))
        else:
            self._answered(name, served[type(asked)](asked))

    def _answered(self, trade_id: str, answer: TradeEvent | None) -> None:
        if answer is not None and self.rng.random() >= self.lost:
            self.answers.append((trade_id, answer))

    def _write(self) -> None:
        """Some of what waits for the ledger is on its way to the disk, for a while; then it stands in the log."""
        if self.ledger.is_writing:
            self._writing(self.ledger.write)
        else:
            self.ledger.take(1 + int(self.rng.integers(self.ledger.waiting)))

    def _writing(self, write: Callable[[], None]) -> None:
        before = set(self.ledger.written)
        write()
        for key in self.ledger.written - before:
            if key.endswith("/lock"):
                circuit = self.controller.circuits[f"{key.removesuffix('/lock')}/1"]
                assert circuit.state == "held", "money is locked without capacity"

    def _hold(self, asked: Hold) -> TradeEvent:
        """The same pair may be refused again and again."""
        pair = f"{self.seed} {asked.source_meter} {asked.sink_meter}"
        is_refused = crc32(pair.encode()) % 4 == 0
        return Refusal("NO_ROUTE", "link l1") if is_refused else self.controller.hold(asked)

    def _hear(self) -> None:
        self.tell(*self.answers.pop(int(self.rng.integers(len(self.answers)))))

    def _clear(self) -> None:
        asked = self.clears.pop(0)
        cleared = clear(asked)
        self.do(
            lambda now_ns: self.market.cleared(
                asked.interval.start_ns, asked.round, cleared, now_ns
            )
        )
