"""What an answer has of a clearing: all of it, or as much as a message holds, and how much that leaves out."""

from dgctl.market.tables import clearing as shown
from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.orders import Interval
from trading.core.units import MicroPerKwh, Wh
from trading.exchange.services.codec import clearing_record_to_pb, clearing_to_pb
from trading.market.records import ClearingRecord
from trading.mechanisms.mechanism import Clearing, Match, Unmatched
from trading.reasons import MarketReason

# What gRPC's clients take where nobody tells them otherwise.
GRPC_BYTES = 4 * 1024 * 1024
PRICE = MicroPerKwh(200_000)


def matches(count: int, path: tuple[str, ...] = ("r1-r2",)) -> tuple[Match, ...]:
    return tuple(
        Match(2**60 + number, 2**61 + number, Wh(2), PRICE, PRICE, injected_wh=Wh(3), path=path)
        for number in range(count)
    )


def unmatched(count: int) -> tuple[Unmatched, ...]:
    return tuple(Unmatched(number, Wh(1), MarketReason.BEYOND_PRICE) for number in range(count))


def told(found: tuple[Match, ...], without: tuple[Unmatched, ...] = ()) -> pb.Clearing:
    return clearing_to_pb(Clearing(found, (), without), (), 0)


def test_a_usual_clearing_is_told_whole() -> None:
    message = told(matches(3_000), unmatched(3_000))
    assert (len(message.matches), len(message.unmatched)) == (3_000, 3_000)
    assert (message.matches_left_out, message.wh_left_out, message.unmatched_left_out) == (0, 0, 0)


def test_of_a_large_one_as_much_as_an_answer_has_room_for_and_how_much_is_left_out() -> None:
    found, without = matches(50_000), unmatched(70_000)
    record = ClearingRecord(Interval(0, 1), "call", 1, found, (), without, 0, 0)
    for message in (told(found, without), clearing_record_to_pb(record, 0)):
        assert 0 < message.ByteSize() < GRPC_BYTES / 2
        assert len(message.matches) + message.matches_left_out == 50_000
        assert sum(each.wh for each in message.matches) + message.wh_left_out == 100_000
        assert len(message.unmatched) + message.unmatched_left_out == 70_000
        assert [each.buy_seq for each in message.matches[:2]] == [2**60, 2**60 + 1]


def test_long_paths_of_any_letters_take_their_room() -> None:
    message = told(matches(2_000, ("\U0001f50c" * 64,) * 20))
    assert message.matches_left_out and message.ByteSize() < GRPC_BYTES / 2


def test_who_reads_it_is_told_what_all_of_it_comes_to() -> None:
    message = told(matches(50_000))
    lines = [str(part) for part in shown(message)]
    assert "100 kWh, matches: 50000" in lines[0]
    assert f"and {message.matches_left_out} matches and 0 orders that went without" in lines[-1]
    assert "went without" not in str(shown(told(matches(2)))[-1])
