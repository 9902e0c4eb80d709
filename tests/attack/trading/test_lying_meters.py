"""Lying meters: who says of his end what is not, so that another pays. Both ends speak, and the path's formula."""

from unittest.mock import patch

import pytest

from tests.support.attacks import repelled
from tests.support.sagas import HELD, read, told, trade
from trading.core import readings
from trading.core.readings import Ends, Reading
from trading.core.settlement import Party, Settlement
from trading.core.trades import (
    Activated,
    Begin,
    Locked,
    Read,
    Released,
    Signed,
    State,
    TimeOver,
    Trade,
)
from trading.core.units import MJ_PER_WH, Millijoule

pytestmark = pytest.mark.attack


def metered(said: Read) -> Trade:
    """A trade of 1000 Wh, for which 1050 are injected, once both ends have said this."""
    one = trade()
    told(one, Begin(), HELD, Locked(), Signed())
    for _ in range(2):
        assert one.until_ns is not None
        told(one, TimeOver(one.until_ns), now_ns=one.until_ns)
    told(one, Activated()) if one.state is State.DELIVERING else None
    while one.state is not State.METERING:
        assert one.until_ns is not None
        told(one, TimeOver(one.until_ns), now_ns=one.until_ns)
    told(one, Released(), said)
    return one


def paid(settlement: Settlement | None, payer: Party) -> int:
    assert settlement is not None
    return sum(line.nano for line in settlement.lines if line.payer is payer)


def test_a_sink_that_reports_too_little_makes_its_seller_pay_nothing() -> None:
    """The buyer took all of it, and says that a third came."""

    def attack() -> bool:
        one = metered(read(1050, 333))
        return paid(one.settlement, Party.SELLER) > 0

    repelled(attack, lambda: [patch.object(readings, "_contradict", lambda *_: False)])


def test_a_sink_that_reports_too_little_is_disputed_and_not_settled_by_its_word() -> None:
    def attack() -> bool:
        return metered(read(1050, 333)).state is State.SETTLING

    repelled(attack, lambda: [patch.object(readings, "_contradict", lambda *_: False)])


def test_a_seller_whose_sink_reports_what_never_was_sent_is_not_paid_for_it() -> None:
    """A router at the sink, in league with the seller, saw more arrive than was injected."""

    def attack() -> bool:
        return paid(metered(read(300, 1000)).settlement, Party.BUYER) > 300 * 200_000

    repelled(attack, lambda: [patch.object(readings, "_contradict", lambda *_: False)])


def test_a_register_that_is_set_back_does_not_count() -> None:
    """The sink said what it took, and then less: whoever resets a meter wants to pay less."""
    ends = Ends(
        [Reading(1, 1, Millijoule(1050 * MJ_PER_WH))],
        [
            Reading(1, 1, Millijoule(1000 * MJ_PER_WH)),
            Reading(2, 1, Millijoule(100 * MJ_PER_WH)),
        ],
        1_050_000,
    )

    def attack() -> bool:
        return paid(metered(Read((ends,))).settlement, Party.BUYER) < 1000 * 200_000

    repelled(attack, lambda: [patch.object(readings, "_oddity", lambda *_: None)])


def test_an_old_reading_that_is_said_again_does_not_count() -> None:
    """Of before most of it was taken."""
    ends = Ends(
        [Reading(1, 2, Millijoule(1050 * MJ_PER_WH))],
        [
            Reading(1, 2, Millijoule(1000 * MJ_PER_WH)),
            Reading(1, 1, Millijoule(400 * MJ_PER_WH)),
        ],
        1_050_000,
    )

    def attack() -> bool:
        return paid(metered(Read((ends,))).settlement, Party.BUYER) < 1000 * 200_000

    repelled(attack, lambda: [patch.object(readings, "_oddity", lambda *_: None)])
