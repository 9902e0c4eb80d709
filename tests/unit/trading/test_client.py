"""The client of a market loads little, signs with nonces that only grow, and says who has to sign."""

import subprocess
import sys
import threading
from typing import Any

import grpc
import pytest

from digitalgrid.client.errors import RequestRefused
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.ledgers import KEY
from trading.client import MarketClient, Signer
from trading.client.calls import tender
from trading.client.deciding import is_decided
from trading.ledger.mandates import is_mandated
from trading.reasons import MarketReason

_METHODS = {
    "deposit": "Deposit",
    "withdraw": "Withdraw",
    "refund": "Refund",
    "rotate_key": "RotateKey",
    "cancel_tender": "CancelTender",
}
INTERVAL = pb.Interval(start_unix_ns=1, length_ns=1)


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("trading.client.blocking, trading.client.checking", ("numpy", "scipy", "trading.market")),
        ("dgctl.cli", ("numpy", "grpc", "cryptography", "google.protobuf", "msgspec", "sqlite3")),
    ],
)
def test_nothing_is_loaded_that_is_not_needed(imported: str, unwanted: tuple[str, ...]) -> None:
    code = f"import {imported}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(unwanted) & set(done.stdout.split())


def test_nonces_only_grow_whoever_asks_and_whatever_the_clock_says() -> None:
    signer = Signer("ann", KEY, lambda: 5)
    nonces: list[int] = []

    def sign() -> None:
        for _ in range(50):
            request = signer.sign("CreateTenders", pb.CreateTendersRequest(), bytes(32), 3)
            nonces.append(request.mandate.nonce)

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(nonces) == list(range(5, 5 + 3 * 200, 3))


def test_a_signature_covers_the_whole_batch() -> None:
    signer = Signer("ann", KEY)
    made = [tender("sell", "m1", 5, 1, INTERVAL), tender("sell", "m1", 6, 1, INTERVAL)]
    request = signer.sign("CreateTenders", pb.CreateTendersRequest(tenders=made), bytes(32), 2)
    assert is_mandated("CreateTenders", request, KEY.public_key, bytes(32))
    del request.tenders[1]
    assert not is_mandated("CreateTenders", request, KEY.public_key, bytes(32))


def test_each_tender_has_an_id_so_that_a_retry_tenders_nothing_twice() -> None:
    made = [tender("buy", "m1", 5, 1, INTERVAL).order_id for _ in range(100)]
    assert len(set(made)) == 100 and all(made)


def test_who_only_reads_needs_no_key_and_who_changes_something_does() -> None:
    with MarketClient("127.0.0.1:9") as client, pytest.raises(ValueError, match="signer"):
        client.cancel_tender("o")


def test_of_a_book_whose_interval_ends_while_it_is_read_the_next_is_told() -> None:
    def level(limit: int) -> pb.BookLevel:
        return pb.BookLevel(limit_micro_per_kwh=limit)

    class Ending(MarketClient):
        asked = 0

        def _call(self, method: object, request: object, *_: object, **__: object) -> object:
            self.asked += 1
            if self.asked == 2:
                raise RequestRefused(
                    grpc.StatusCode.NOT_FOUND, "over", reason=MarketReason.INTERVAL_UNKNOWN
                )
            more = "1.1.1" if self.asked in (1, 3) else ""
            return pb.GetBookResponse(bids=[level(self.asked)], next_page_token=more)

    with Ending("127.0.0.1:9") as client:
        assert [each.limit_micro_per_kwh for each in client.book().bids] == [3, 4]
    with Ending("127.0.0.1:9") as client, pytest.raises(RequestRefused):
        client.book(5)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("call", ["deposit", "withdraw", "refund", "rotate_key", "cancel_tender"])
def test_what_is_stale_is_signed_anew_under_the_same_key_some_times(call: str, times: int) -> None:
    """Another program of the party used a later nonce meanwhile, or the answer to the first was lost."""
    said: list[Any] = []

    class Crossing(MarketClient):
        def _call(self, method: object, request: Any, *_: object, **__: object) -> Any:
            if isinstance(request, pb.GetMarketRequest):
                return pb.GetMarketResponse(log_id=bytes(32))
            said.append(type(request).FromString(request.SerializeToString()))
            if len(said) <= times:
                raise RequestRefused(
                    grpc.StatusCode.FAILED_PRECONDITION, "late", reason=MarketReason.STALE_NONCE
                )
            return pb.CancelTenderResponse()

    with Crossing("127.0.0.1:9", signer=Signer("ann", KEY)) as client:
        asked = ("bob", 5) if call in ("deposit", "withdraw") else ("x",)
        if times < 3:
            getattr(client, call)(*asked)
        else:
            with pytest.raises(RequestRefused, match="late"):
                getattr(client, call)(*asked)
    nonces = [each.mandate.nonce for each in said]
    assert nonces == sorted(set(nonces)) and len(nonces) == min(times + 1, 3)
    for each in said:
        assert is_mandated(_METHODS[call], each, KEY.public_key, bytes(32))
        each.ClearField("mandate")
    assert all(each == said[0] for each in said)


@pytest.mark.parametrize(
    ("open_wh", "matched_wh", "states", "decided"),
    [
        (5, 0, [], False),
        (0, 0, [], True),
        (0, 5, [], False),
        (0, 5, [pb.TRANSACTION_STATE_HELD], False),
        (0, 5, [pb.TRANSACTION_STATE_CONFIRMED], True),
        (0, 5, [pb.TRANSACTION_STATE_REJECTED], False),
        (0, 0, [pb.TRANSACTION_STATE_REJECTED], True),
        (0, 5, [pb.TRANSACTION_STATE_REJECTED, pb.TRANSACTION_STATE_SETTLED], True),
    ],
)
def test_an_order_is_decided_once_its_trades_are_for_good(
    open_wh: int, matched_wh: int, states: list[pb.TransactionState.ValueType], decided: bool
) -> None:
    order = pb.Order(open_wh=open_wh, matched_wh=matched_wh)
    assert is_decided(order, [pb.Transaction(state=each, wh=5) for each in states]) is decided
