"""Pages end with their bytes too, others are heard while one is made, and a clearing is made once for all."""

import asyncio

from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.markets import INTERVAL
from trading.core.units import MicroPerKwh, Wh
from trading.exchange.services.clearings import _MOST, Clearings
from trading.exchange.services.paging import _MOST_BYTES, _TURN_BYTES, fitting
from trading.market.records import ClearingRecord
from trading.mechanisms.mechanism import Match


def clearing(rounds: int, matches: int = 1) -> ClearingRecord:
    price = MicroPerKwh(200_000)
    path = tuple([f"r{number}-r{number + 1}" for number in range(8)])
    match = Match(1, 2, Wh(100), price, price, Wh(105), path=path)
    return ClearingRecord(INTERVAL, "call", rounds, (match,) * matches, (), (), 0, 0)


def place(record: ClearingRecord) -> tuple[int, ...]:
    return record.interval.start_ns, record.round


def test_of_great_clearings_a_page_has_few_and_says_that_there_are_more() -> None:
    made: list[int] = []
    records = [clearing(number, 1_000) for number in range(200)]
    clearings = Clearings(0)

    def of(record: ClearingRecord) -> pb.Clearing:
        made.append(record.round)
        return clearings.of(record)

    page, token = asyncio.run(fitting(records, of, 1_000, place))
    assert made == [each.rounds for each in page] == list(range(len(page)))
    assert _MOST_BYTES <= sum(each.ByteSize() for each in page) < 1.1 * _MOST_BYTES
    assert token == f"{INTERVAL.start_ns}.{len(page) - 1}"


def test_whatever_else_is_asked_meanwhile_has_its_turns() -> None:
    async def story() -> tuple[int, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        busy = asyncio.ensure_future(other())
        long = pb.Clearing(verification="x" * _TURN_BYTES)
        page, _ = await fitting([clearing(1)] * 200, lambda _: long, 200, place)
        busy.cancel()
        return turns, len(page)

    turns, messages = asyncio.run(story())
    assert messages < 200 and turns == messages - 1


def test_one_that_alone_is_too_long_is_a_page() -> None:
    long = pb.Clearing(verification="x" * 2 * _MOST_BYTES)
    page, token = asyncio.run(fitting([clearing(1), clearing(2)], lambda _: long, 9, place))
    assert page == [long] and token.endswith(".1")


def test_a_clearing_is_made_once_for_all_who_look_and_few_are_kept() -> None:
    clearings = Clearings(0)
    first = clearings.of(clearing(1))
    assert clearings.of(clearing(1)) is first
    for rounds in range(2, _MOST + 2):
        clearings.of(clearing(rounds))
    assert clearings.of(clearing(1)) is not first
    assert len(clearings._made) == _MOST
