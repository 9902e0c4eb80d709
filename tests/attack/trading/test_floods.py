"""Floods: one party that asks for more than its share of the market's time, memory, or log."""

import asyncio
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.rate_limit import TokenBucket
from tests.support.attacks import Street, repelled
from tests.support.dawdling import DAWDLING
from tests.support.dawdling import cleared as dawdling_cleared
from tests.support.ledgers import deposit, ledger
from tests.support.market_settings import SETTINGS
from tests.support.markets import INTERVAL, book
from tests.support.patience import PATIENCE_S
from tests.support.sagas import trade
from trading.core.orders import MAX_ID, MAX_TAGS
from trading.exchange import clearer
from trading.exchange.clearer import WorkerClearer
from trading.exchange.reads import CALLER, Caller, Reads
from trading.exchange.services import turns, watching
from trading.exchange.services.hearing import Hearing
from trading.exchange.services.turns import Pauses, Rotation
from trading.exchange.services.watching import TransactionsWatch
from trading.ledger.refusals import LedgerRefused
from trading.market.outcome import Clear
from trading.market.records import TradeRecord
from trading.market.settings import MarketSettings
from trading.mechanisms.network import no_network
from trading.reasons import MarketReason, Refused

pytestmark = pytest.mark.attack


def settings(**rules: float) -> MarketSettings:
    return msgspec.structs.replace(SETTINGS, rules=msgspec.structs.replace(SETTINGS.rules, **rules))


def test_who_tenders_faster_than_he_may_waits() -> None:
    def attack() -> bool:
        street = Street(settings(tender_burst=10, tenders_per_s=1.0))
        request = street.asks(*(street.tender(f"{n}", wh=1) for n in range(50)))
        return street.takes(request) > 10

    repelled(attack, lambda: [patch.object(TokenBucket, "take", lambda *_: True)])


def test_who_fills_the_book_is_stopped_and_others_are_not() -> None:
    def filled(most: int) -> tuple[int, int]:
        street = Street(settings(orders_per_party=most))
        eves = street.takes(street.asks(*(street.tender(f"{n}", wh=1) for n in range(50))))
        anns = street.tender("a", meter_id="meter of ann")
        return eves, street.takes(street.asks(anns, party="ann", key="ann"))

    assert filled(10) == (10, 1)
    # The limit is the defence.
    assert filled(1_000) == (50, 1)


def test_who_tenders_and_cancels_again_and_again_makes_no_more_orders_than_he_may() -> None:
    """All of an interval are kept until it has ended, whether they wait or not."""

    def attack() -> bool:
        street = Street(settings(tender_burst=10, tenders_per_s=1.0))
        for number in range(50):
            street.takes(street.asks(street.tender(f"{number}", wh=1)))
            with suppress(Refused):
                street.market.cancel("eve", 1_000 * number + 500, f"{number}", 0)
        return sum(1 for _ in street.market.orders.rows()) > 10

    repelled(attack, lambda: [patch.object(TokenBucket, "take", lambda *_: True)])


def let_in(calls: list[tuple[str, str]]) -> list[str]:
    """Names of calls, each (peer, name) of those that come together, in the order in which they are heard."""
    heard: list[str] = []
    rotation = Rotation()

    async def call(peer: str, name: str) -> None:
        await rotation.turn(peer)
        heard.append(name)

    async def all_of_them() -> None:
        await asyncio.gather(*[call(*each) for each in calls])

    asyncio.run(all_of_them())
    return heard


async def at_once(*_: object) -> None:
    """Nobody waits."""


def test_a_thousand_calls_of_one_connection_do_not_come_before_one_of_another() -> None:
    """Signed or forged: that is found out only once they are looked at."""
    flood = [("eve", f"eve {number}") for number in range(1_000)]

    def attack() -> bool:
        return let_in([*flood, ("ann", "ann"), ("bob", "bob")]).index("bob") > 5

    repelled(attack, lambda: [patch.object(Rotation, "turn", at_once)])
    assert let_in(flood) == [name for _, name in flood]


def test_a_thousand_connections_of_one_host_do_not_come_before_one_of_another() -> None:
    flood = [(f"ipv4:192.0.2.1:{number}", "eve") for number in range(1_000)]

    def attack() -> bool:
        return let_in([*flood, ("ipv4:192.0.2.2:1", "ann")]).index("ann") > 5

    repelled(attack, lambda: [patch.object(turns, "host_of", str)])
    # Of each host, a connection after another.
    both = [("ipv4:192.0.2.1:1", "a"), ("ipv4:192.0.2.1:1", "a"), ("ipv4:192.0.2.1:2", "b")]
    assert let_in([*both, ("ipv6:[::1]:1", "c")]) == ["a", "c", "b", "a"]


def test_long_lists_of_one_host_or_connection_are_not_read_before_all_others() -> None:
    """There is one reader, who hears first whoever came first."""

    def read(calls: list[str]) -> list[str]:
        heard: list[str] = []
        reads, reader = Reads(), asyncio.Lock()

        async def call(peer: str) -> None:
            CALLER.set(Caller(peer, turns.host_of(peer)))
            async with reads.room(), reader:
                heard.append(peer)
                await asyncio.sleep(0)

        async def all_of_them() -> None:
            await asyncio.gather(*map(call, calls))

        asyncio.run(all_of_them())
        assert not reads._rooms
        return heard

    eve, ann, bob = "ipv4:192.0.2.1:1", "ipv4:192.0.2.2:1", "ipv4:192.0.2.1:2"

    def attack() -> bool:
        heard = read([eve] * 100 + [ann, bob])
        return heard.index(ann) > 10 or heard.index(bob) > 20

    unheeded = patch.object(Reads, "room", lambda _: nullcontext())
    repelled(attack, lambda: [unheeded])


def test_who_calls_and_waits_no_more_takes_no_turn() -> None:
    async def turns_until_ann_is_heard() -> int:
        rotation = Rotation()
        flood = [asyncio.ensure_future(rotation.turn(f"eve {number}:")) for number in range(1_000)]
        await asyncio.sleep(0)
        ann = asyncio.ensure_future(rotation.turn("ann:"))
        for each in flood:
            each.cancel()
        turned = 0
        while not ann.done():
            turned += 1
            await asyncio.sleep(0)
        return turned

    assert asyncio.run(turns_until_ann_is_heard()) < 10


def test_whoever_is_at_the_door_behind_a_hundred_calls_does_not_wait_until_all_are_heard() -> None:
    """gRPC hands over one call after another, first in, first out, some turns of the loop each."""

    async def heard_before_ann() -> int:
        rotation, heard = Rotation(), 0
        tasks = []

        async def eve() -> None:
            nonlocal heard
            await rotation.turn("eve:")
            heard += 1

        for _ in range(100):
            rotation.knock()
            tasks.append(asyncio.ensure_future(eve()))
            for _ in range(2):
                await asyncio.sleep(0)
        rotation.knock()
        await rotation.turn("ann:")
        before = heard
        await asyncio.gather(*tasks)
        return before

    def attack() -> bool:
        return asyncio.run(heard_before_ann()) > 10

    repelled(attack, lambda: [patch.object(turns, "_MOST_AT_DOOR", 0)])


def test_a_door_at_which_there_is_always_somebody_does_not_keep_those_inside_waiting() -> None:
    async def turns_until_heard() -> int:
        rotation, turned = Rotation(), 0
        ann = asyncio.ensure_future(rotation.turn("ann:"))
        while not ann.done():
            rotation.knock()
            turned += 1
            await asyncio.sleep(0)
        return turned

    assert asyncio.run(turns_until_heard()) < 100


def test_a_long_answer_is_made_by_turns_with_what_others_ask() -> None:
    async def made_before_ann() -> int:
        rotation, made, is_busy = Rotation(), 0, asyncio.Event()

        async def lists() -> None:
            nonlocal made
            await rotation.turn("eve:")
            for _ in range(100):
                made += 1
                if made == 50:
                    is_busy.set()
                await turns.another_turn()

        flood = [asyncio.ensure_future(lists()) for _ in range(10)]
        await is_busy.wait()
        before = made
        await rotation.turn("ann:")
        found = made - before
        await asyncio.gather(*flood)
        return found

    def attack() -> bool:
        return asyncio.run(made_before_ann()) > 3

    nobodys = SimpleNamespace(set=lambda _: None, get=lambda: None)
    repelled(attack, lambda: [patch.object(turns, "_ANOTHER", nobodys)])


def test_no_more_calls_of_one_connection_wait_than_so_many() -> None:
    async def refused() -> int:
        rotation = Rotation()
        flood = [asyncio.ensure_future(rotation.turn("eve")) for _ in range(10_000)]
        ended = await asyncio.gather(*flood, return_exceptions=True)
        return sum(isinstance(each, Refused) for each in ended)

    assert asyncio.run(refused()) == 10_000 - 2_048


def test_whatever_is_asked_counts_whether_it_is_taken_or_not() -> None:
    """Of others' meters, of orders that are there already, of none."""

    def attack(asked: Callable[[Street, int], object]) -> bool:
        street = Street(settings(tender_burst=10, tenders_per_s=1.0))
        heard = 0
        for number in range(50):
            try:
                found = asked(street, number)
            except Refused as refused:
                found = {refused.reason}
            heard += found != {MarketReason.RATE_LIMIT}
        # One is taken before it is repeated.
        return heard > 11

    def others(street: Street, number: int) -> object:
        return street.reasons(street.asks(street.tender(f"{number}", meter_id="meter of ann")))

    def repeats(street: Street, _: int) -> object:
        return street.reasons(street.asks(street.tender()))

    def cancels(street: Street, number: int) -> object:
        return street.market.cancel("eve", number, "none", 0)

    for asked in (others, repeats, cancels):
        repelled(
            lambda asked=asked: attack(asked),  # type: ignore[misc]
            lambda: [patch.object(TokenBucket, "take", lambda *_: True)],
        )


def test_who_was_refused_for_his_rate_is_not_heard_again_at_once() -> None:
    """A full batch costs the loop milliseconds, refused or not; with many under way others would wait for all."""
    turn_of_loop = asyncio.sleep

    async def not_over(_: float) -> None:
        await asyncio.Event().wait()

    def attack() -> bool:
        pauses, heard, nonces = Pauses(lambda *_: None), [], count()

        async def call(party: str) -> None:
            with suppress(Refused):
                async with pauses.over(party, next(nonces)):
                    heard.append(party)
                    if party == "eve":
                        pauses.note_hasty(party)

        async def all_of_them() -> None:
            await call("eve")
            flood = [asyncio.ensure_future(call("eve")) for _ in range(1_000)]
            await call("ann")
            for _ in range(3):
                await turn_of_loop(0)
            for each in flood:
                each.cancel()

        with patch.object(asyncio, "sleep", not_over), patch.object(turns, "_HASTY_S", 3_600):
            asyncio.run(all_of_them())
        assert "ann" in heard
        return len(heard) > 2

    repelled(attack, lambda: [patch.object(Pauses, "_is_hasty", lambda *_: False)])


def test_a_mechanism_that_dawdles_does_not_keep_the_next_interval_waiting() -> None:
    """As a book may be made for, or a plug-in be written."""
    asked = Clear(INTERVAL, "call", 1, tuple(book([(9, 5)], [(3, 5)])), frozenset(), 7)

    async def keeps_waiting() -> bool:
        workers = WorkerClearer()
        both = [msgspec.structs.replace(asked, mechanism=DAWDLING), asked]
        try:
            await workers.warm_up()
            first, other = [
                asyncio.ensure_future(workers.clear(each, no_network())) for each in both
            ]
            # One that has no end has none in a second either.
            if not (await asyncio.wait({first}, timeout=1.0))[0]:
                return True
            assert {each.reason for each in (await first).clearing.unmatched} == {
                MarketReason.NOT_SOLVED
            }
            with patch.object(clearer, "_MOST_S", PATIENCE_S):
                return not (await other).clearing.matches
        finally:
            workers.close()

    def attack() -> bool:
        return asyncio.run(keeps_waiting())

    with (
        patch.object(clearer, "_cleared", dawdling_cleared),
        patch.object(clearer, "_warm_up", os.getpid),
        patch.object(clearer, "_MOST_S", 0.0),
    ):
        repelled(attack, lambda: [patch.object(clearer, "_MOST_S", PATIENCE_S)])


def test_whoever_repeats_what_others_signed_pays_for_it_by_host() -> None:
    """A batch is read and answered each time."""

    def attack() -> bool:
        clock: Any = SimpleNamespace(
            is_newer=lambda *_: False, pass_over=lambda *_: None, now_ns=lambda: 0
        )
        hearing, heard = Hearing(clock), 0
        with suppress(Refused):
            for port in range(100):
                hearing.check_repeats("ann", 1, f"ipv4:192.0.2.1:{port}", 512)
                heard += 1
        # Others repeat theirs meanwhile.
        hearing.check_repeats("ann", 1, "ipv4:192.0.2.2:1", 512)
        return heard > 16

    repelled(attack, lambda: [patch.object(TokenBucket, "take", lambda *_: True)])


def test_who_watches_and_does_not_read_is_kept_no_more_than_so_much_for() -> None:
    def attack() -> bool:
        runtime: Any = SimpleNamespace(subscribe=lambda heard: lambda: None)
        watch = TransactionsWatch(runtime, "")
        for number in range(5_000):
            one = trade()
            one.trade_id = f"t{number}"
            watch._heard([TradeRecord(one, number, "call", 0)])
        return len(watch._trades) > 4_096

    repelled(attack, lambda: [patch.object(watching, "_bound", lambda *_: None)])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"order_id": "x" * (MAX_ID + 1)}, MarketReason.ORDER_ID_UNFIT),
        ({"order_id": "\x1b[2J"}, MarketReason.ORDER_ID_UNFIT),
    ],
)
def test_words_that_would_fill_the_disk_or_command_a_terminal_are_not_kept(
    changed: dict[str, str], reason: MarketReason
) -> None:
    def attack() -> bool:
        street = Street()
        return street.takes(street.asks(street.tender(**changed))) > 0

    assert reason in Street().reasons(Street().asks(Street().tender(**changed)))
    repelled(attack, lambda: [patch("trading.core.orders._is_name", lambda *_: True)])


def test_tags_that_would_fill_the_disk_are_not_kept() -> None:
    def attack() -> bool:
        street = Street()
        tender = street.tender()
        tender.tags.extend(["t"] * (MAX_TAGS + 1))
        return street.takes(street.asks(tender)) > 0

    repelled(attack, lambda: [patch("trading.core.orders._check_size", lambda *_: None)])


def test_a_log_is_not_filled_by_names() -> None:
    def attack() -> bool:
        try:
            ledger().write("d", deposit("x" * 100_000, 1))
        except LedgerRefused:
            return False
        return True

    repelled(attack, lambda: [patch("trading.ledger.accounts.check_id", lambda *_: None)])


def test_a_log_is_not_filled_by_one_escrow() -> None:
    def attack() -> bool:
        book = ledger()
        stakes = [pb.Stake(account=f"a{number}") for number in range(10_000)]
        lock = pb.Lock(trade_id="t", terms_hash=bytes(32), stakes=stakes)
        try:
            book.write("l", pb.Entry(lock=lock))
        except LedgerRefused:
            return False
        return True

    repelled(attack, lambda: [patch("trading.ledger.accounts.MAX_STAKES", 10**9)])
