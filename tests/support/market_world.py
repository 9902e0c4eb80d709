"""A simulated world for trades: a controller, meters, a real ledger, calls that lose requests and answers, and crashes.

Everything that an exchange is to others happens here by chance and in any order; what it remembers over a crash is its
journal, a record a trade, written before anything is asked.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np

from digitalgrid.units import NS_PER_S
from tests.support.market_ledger import OPERATOR, MarketLedger
from trading.core.asking import pending
from trading.core.attribution import Cause, Missed
from trading.core.orders import Interval
from trading.core.readings import Ends, Reading
from trading.core.saga import resumed, step
from trading.core.settlement import Tariff, Terms
from trading.core.trades import (
    Activate,
    Activated,
    AskMeters,
    Bind,
    Cancel,
    Close,
    Closed,
    Effect,
    GiveBack,
    Held,
    Hold,
    HoldLost,
    Lock,
    Locked,
    Pay,
    Read,
    Refusal,
    Release,
    Released,
    Resolved,
    Revoke,
    Sign,
    State,
    TimeOver,
    Times,
    Trade,
    TradeEvent,
    Wait,
    decoded,
    encoded,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Wh

TIMES = Times(read_ns=10 * NS_PER_S, dispute_ns=60 * NS_PER_S)
LENGTH_NS = 10 * NS_PER_S
PARTIES = ("ann", "bob", "eve")
# Of calls, those that lose their request, and those that lose their answer.
LOST = 0.06
UNDONE = (State.UNWINDING, State.REJECTED, State.EXPIRED, State.CANCELLED)
# What a source has for circuits that are held or carry, all at once.
_ROOM_WH = 3_000


@dataclass
class Circuit:
    until_ns: int
    wh: int
    state: str = "held"
    has_carried: bool = False


class Clocked(Protocol):
    """What a controller is in."""

    now_ns: int

    def readings(self, key: str, wh: int) -> Read: ...


class Controller:
    """Reserves, activates, releases; the room of all circuits together is limited."""

    def __init__(self, world: Clocked, room_wh: int = _ROOM_WH) -> None:
        self.world = world
        self.room_wh = room_wh
        self.circuits: dict[str, Circuit] = {}

    def expire(self) -> None:
        for circuit in self.circuits.values():
            if circuit.state == "held" and circuit.until_ns <= self.world.now_ns:
                circuit.state = "gone"

    def hold(self, asked: Hold) -> TradeEvent:
        found = self.circuits.get(asked.key)
        if found is None:
            used = sum(c.wh for c in self.circuits.values() if c.state != "gone")
            if used + asked.wh > self.room_wh:
                return Refusal("NO_ROUTE", "link l1")
            found = self.circuits[asked.key] = Circuit(asked.until_ns, asked.wh)
        if found.state == "gone":
            return Refusal("HOLD_EXPIRED")
        return Held(asked.key, 1_050_000, MicroPerKwh(2_000), Millijoule(100 * MJ_PER_WH))

    def activate(self, asked: Activate) -> TradeEvent:
        found = self.circuits.get(asked.key)
        if found is None or found.state == "gone":
            return Refusal("HOLD_EXPIRED")
        found.state, found.has_carried = "active", True
        return Activated()

    def release(self, asked: Release) -> TradeEvent:
        if asked.key in self.circuits:
            self.circuits[asked.key].state = "gone"
        return Released()

    def meters(self, asked: AskMeters) -> TradeEvent:
        found = self.circuits.get(asked.key)
        if found is None or not found.has_carried:
            return Read(())
        assert found.state == "gone", "registers are final only then"
        read = self.world.readings(asked.key, found.wh)
        start_ns = found.until_ns - TIMES.grace_ns
        missed = [
            msgspec.structs.replace(m, from_ns=start_ns, to_ns=start_ns + 1) for m in read.missed
        ]
        return Read(read.ends, tuple(missed), read.last_mj)


@dataclass
class World:
    """One history. ``step`` lets something happen; ``finish`` lets everything come to its end."""

    seed: int
    lost: float = LOST
    crashes: int = 0
    now_ns: int = 0
    journal: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, Effect]] = field(default_factory=list)
    answers: list[tuple[str, TradeEvent]] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)
    positions: Counter[str] = field(default_factory=Counter)
    bound: set[str] = field(default_factory=set)
    history: dict[str, list[State]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.controller = Controller(self)
        balances = dict.fromkeys((*PARTIES, OPERATOR), 20 * 10**9)
        self.ledger = MarketLedger(balances, lambda: self.now_ns, self._journalled)
        self.total = self.ledger.book.total

    def step(self, *, may_begin: bool = True) -> None:
        draw = self.rng.random()
        if draw < 0.30 and self.requests:
            self._serve()
        elif draw < 0.60 and self.answers:
            self._hear()
        elif draw < 0.72:
            self._ask_again()
        elif draw < 0.84:
            self.pass_time(int(self.rng.exponential(NS_PER_S)))
        elif draw < 0.87 and may_begin:
            self.crash()
        elif draw < 0.90 and self.journal:
            self.tell(self._any(), Cancel("CANCELLED"))
        elif draw < 0.93 and self.journal:
            self._resolve(self._any())
        elif draw < 0.935 and self.journal:
            self._refund(self._any())
        elif draw < 0.94 and self.journal:
            self.tell(self._any(), HoldLost())
        elif may_begin and len(self.journal) < 8:
            self.begin()
        self.check()

    def finish(self) -> None:
        """Nothing is lost any more, and time goes on until every trade has ended, and every hold as well."""
        self.lost = 0.0
        for _ in range(10_000):
            if all(states[-1].ended for states in self.history.values()):
                break
            self.step(may_begin=False)
            self._serve_all()
        self._serve_all()
        self.pass_time(600 * NS_PER_S)

    def begin(self) -> None:
        """A match: its positions and its trade are one transaction."""
        name = f"t{len(self.journal)}"
        buyer, seller = self.rng.permutation(PARTIES)[:2].tolist()
        start_ns = (self.now_ns // LENGTH_NS + int(self.rng.integers(1, 3))) * LENGTH_NS
        price = MicroPerKwh(int(self.rng.integers(-20_000, 300_000)))
        wh = Wh(int(self.rng.integers(1, 2_000)))
        trade = Trade(
            name,
            1,
            2,
            buyer,
            seller,
            f"meter of {buyer}",
            f"meter of {seller}",
            Interval(start_ns, LENGTH_NS),
            Terms(wh, price, price, Tariff(firm_price=MicroPerKwh(10_000))),
            wh,
        )
        self.positions[name] = 1
        self.journal[name] = encoded(trade)
        self.history[name] = [trade.state]
        if self.rng.random() < 0.9:
            self._ask(name, resumed(self._journalled(name), self.now_ns, TIMES), begins=True)

    def crash(self) -> None:
        """All that was not written is forgotten; what is on its way to others arrives all the same."""
        self.crashes += 1
        self.answers.clear()
        self.timers.clear()
        for name in sorted(self.journal):
            self._resume(name)

    def pass_time(self, by_ns: int) -> None:
        self.now_ns += by_ns
        self.controller.expire()
        for name, until_ns in sorted(self.timers.items()):
            if until_ns <= self.now_ns and self.timers.get(name) == until_ns:
                del self.timers[name]
                self.tell(name, TimeOver(until_ns))

    def tell(self, name: str, event: TradeEvent) -> None:
        """An event, in one transaction with what it changes; a crash may come before or after it."""
        trade = self._journalled(name)
        effects = step(trade, event, self.now_ns, TIMES)
        if effects is None or self.rng.random() < 0.01:
            return
        self._write(trade, effects)
        self._ask(name, effects)

    def check(self) -> None:
        assert self.ledger.book.total == self.total, "money came or went"
        assert all(count in (0, 1) for count in self.positions.values()), "freed twice"
        for name, states in self.history.items():
            has_escrow = self.ledger.book.has_escrow(name)
            assert not (has_escrow and states[-1].ended), "an escrow without a trade"
            self._check_binding(name, states[-1])

    def _check_binding(self, name: str, state: State) -> None:
        """What the log has the signature of is never undone, and nothing else is ever delivered or paid."""
        if name in self.ledger.signed:
            assert state not in UNDONE, "signed for, and undone"
        else:
            assert name not in self.bound, "binding, and not signed for"

    def readings(self, key: str, wh: int) -> Read:
        return readings_of(self.seed, self.rng, key, wh)

    def _resolve(self, name: str) -> None:
        trade = self._journalled(name)
        if trade.state is State.DISPUTED:
            injected = trade.ends[0].source[-1].register
            sure = Reading(1, 1, Millijoule(injected * 1_000_000 // 1_050_000))
            self.tell(name, Resolved((Ends(trade.ends[0].source, [sure], 1_050_000),)))

    def _refund(self, name: str) -> None:
        if self.ledger.refund(name) and self.rng.random() >= self.lost:
            self.answers.append((name, Closed(is_refund=True)))

    def _any(self) -> str:
        return str(self.rng.choice(sorted(self.journal)))

    def _journalled(self, name: str) -> Trade:
        return decoded(self.journal[name])

    def _resume(self, name: str) -> None:
        trade = self._journalled(name)
        effects = resumed(trade, self.now_ns, TIMES)
        self._write(trade, effects)
        self._ask(name, effects)

    def _write(self, trade: Trade, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, GiveBack):
                self.positions[effect.key] -= 1
                assert effect.key not in self.bound, "what is binding is given back"
            elif isinstance(effect, Bind):
                assert effect.key not in self.bound, "bound twice"
                self.bound.add(effect.key)
        self.journal[trade.trade_id] = encoded(trade)
        if self.history[trade.trade_id][-1] is not trade.state:
            self.history[trade.trade_id].append(trade.state)

    def _ask(self, name: str, effects: Sequence[Effect], *, begins: bool = False) -> None:
        if begins:
            # It was not journalled that it began: the next look at it, or a crash, begins it.
            self._resume(name)
            return
        for effect in effects:
            if isinstance(effect, Wait):
                self.timers[name] = effect.until_ns
            elif not isinstance(effect, GiveBack | Bind) and self.rng.random() >= self.lost:
                self.requests.append((name, effect))

    def _ask_again(self) -> None:
        for name in sorted(self.journal):
            state = self.history[name][-1]
            if state is State.MATCHED:
                self._resume(name)
            elif not state.ended and self.rng.random() < 0.3:
                self._ask(name, pending(self._journalled(name), TIMES))

    def _serve_all(self) -> None:
        while self.requests or self.answers:
            if self.requests:
                self._serve()
            if self.answers:
                self._hear()

    def _serve(self) -> None:
        """Any of the requests on their way, not the first: they overtake each other."""
        name, asked = self.requests.pop(int(self.rng.integers(len(self.requests))))
        answer = self._served(asked)
        if answer is not None and self.rng.random() >= self.lost:
            self.answers.append((name, answer))

    def _served(self, asked: Effect) -> TradeEvent | None:
        served: dict[type, Callable[..., TradeEvent | None]] = {
            Hold: self.controller.hold,
            Activate: self.controller.activate,
            Release: self.controller.release,
            AskMeters: self.controller.meters,
            Lock: self._lock,
            Sign: self.ledger.at_once,
            Revoke: self.ledger.at_once,
            Pay: self.ledger.at_once,
            Close: self.ledger.at_once,
        }
        return served[type(asked)](asked)

    def _lock(self, asked: Lock) -> TradeEvent | None:
        is_new = asked.key not in self.ledger.written
        answer = self.ledger.at_once(asked)
        if is_new and isinstance(answer, Locked):
            circuit = self.controller.circuits[f"{asked.trade_id}/1"]
            assert circuit.state == "held", "money is locked without capacity"
        return answer

    def _hear(self) -> None:
        self.tell(*self.answers.pop(int(self.rng.integers(len(self.answers)))))


def readings_of(seed: int, chance: np.random.Generator, key: str, wh: int) -> Read:
    """What meters say of a circuit, the same however often they are asked, but that some come late."""
    rng = np.random.default_rng([seed, *key.encode()])
    given = int(wh * MJ_PER_WH * rng.choice([1.0, 1.0, 0.6, 0.0, 1.02]))
    sent = int(given * 1.05)
    what = rng.random()
    if what < 0.15:
        given = given // 2
    source, sink = (
        [] if what > 0.95 or chance.random() < 0.1 else [Reading(1, 1, Millijoule(each))]
        for each in (sent, given)
    )
    cause = list(Cause)[int(rng.integers(len(Cause)))]
    missed = Missed(0, 1, cause, Millijoule(int(rng.integers(0, 500)) * MJ_PER_WH))
    # What the sink had said before, of which both ends may say nothing more.
    last_mj = Millijoule(int(given * rng.random())) if rng.random() < 0.5 else None
    return Read((Ends(source, sink, 1_050_000),), (missed,), last_mj)
