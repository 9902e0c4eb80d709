"""A trade for tests, what it is told on its way, and what it asks then."""

from digitalgrid.units import NS_PER_S
from trading.core.orders import Interval
from trading.core.readings import Ends, Reading
from trading.core.saga import step
from trading.core.settlement import Tariff, Terms
from trading.core.trades import (
    Activated,
    Begin,
    Effect,
    Held,
    Locked,
    Read,
    Released,
    Signed,
    State,
    TimeOver,
    Times,
    Trade,
    TradeEvent,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Wh

TIMES = Times()
START_NS, LENGTH_NS = 900 * NS_PER_S, 900 * NS_PER_S
NOW_NS = 100 * NS_PER_S
HELD = Held("c1", 1_050_000, MicroPerKwh(2_000), Millijoule(60 * MJ_PER_WH))


def trade(state: State = State.MATCHED) -> Trade:
    price = MicroPerKwh(200_000)
    terms = Terms(Wh(1000), price, price, Tariff(firm_price=MicroPerKwh(10_000)))
    interval = Interval(START_NS, LENGTH_NS)
    made = Trade("t1", 1, 2, "ann", "bob", "m1", "m2", interval, terms, Wh(1050))
    made.state = state
    return made


def read(injected: int | None, delivered: int | None) -> Read:
    source, sink = (
        [] if wh is None else [Reading(1, 1, Millijoule(wh * MJ_PER_WH))]
        for wh in (injected, delivered)
    )
    return Read((Ends(source, sink, 1_050_000),))


def told(one: Trade, *events: TradeEvent, now_ns: int = NOW_NS) -> list[Effect]:
    """What is asked after the last."""
    effects: list[Effect] | None = None
    for event in events:
        effects = step(one, event, now_ns, TIMES)
        assert effects is not None, event
    return effects or []


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


TO_CONFIRMED: tuple[TradeEvent, ...] = (Begin(), HELD, Locked(), Signed())
BEGINS = TimeOver(START_NS - TIMES.lead_ns)
ENDS = TimeOver(START_NS + LENGTH_NS)
TO_METERS = (*TO_CONFIRMED, BEGINS, Activated(), ENDS, Released())
