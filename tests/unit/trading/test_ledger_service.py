"""The ledger's service: proofs of what stands in the log, for anybody; and money in and out by the operator's word."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeVar

import pytest

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as pb
from tests.support.ledgers import KEY, Clock, deposit, ledger, lock
from tests.support.log_files import fill
from tests.support.market_settings import SETTINGS
from trading.exchange.mandates import Mandates
from trading.exchange.services.ledger import LedgerService
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger, Receipt
from trading.ledger.mandates import sign
from trading.ledger.merkle import extends, includes, leaf_hash
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.market.market import Market
from trading.reasons import MarketReason, Refused

T = TypeVar("T")
OPERATOR, ANN = SigningKey.of_seed(bytes(32)), SigningKey.of_seed(bytes(31) + b"a")
PUBLIC = {"operator": OPERATOR.public_key, "ann": ANN.public_key}


class Here:
    """A ledger without a thread of its own."""

    def __init__(self, book: Ledger) -> None:
        self.book = book

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        await asyncio.sleep(0)
        return question(self.book)

    async def write(self, key: str, entry: ledger_pb2.Entry) -> Receipt:
        await asyncio.sleep(0)
        return self.book.write(key, entry)

    async def rotate(self, key: str) -> Receipt:
        await asyncio.sleep(0)
        return self.book.rotated(key) or self.book.rotate(SigningKey.new(), key)


class Desk:
    """Of a market, without a journal."""

    def __init__(self, trades: Sequence[str] = ()) -> None:
        self._market = Market(SETTINGS)
        self._trades = trades

    async def use_nonce(self, party: str, nonce: int) -> None:
        self._market.use_nonce(party, nonce, 0)

    def is_open(self, trade_id: str) -> bool:
        return trade_id in self._trades


def served(
    trades: int = 4, *open_trades: str, clock: Clock | None = None
) -> tuple[LedgerService, Ledger]:
    book = ledger(clock=clock or Clock())
    fill(book, trades)
    mandates = Mandates(PUBLIC, "operator", book.log_id)
    return LedgerService(Here(book), mandates, Desk(open_trades)), book


def ask(call: Any, request: Any) -> Any:
    return asyncio.run(call(request, None))


def test_a_head_and_proofs_convince_whoever_has_the_entries() -> None:
    service, book = served()
    answer = ask(service.GetHead, pb.GetHeadRequest())
    head = ledger_pb2.TreeHead.FromString(answer.head.head)
    assert (head.size, answer.log_public_key) == (book.size, KEY.public_key)
    for seq in range(head.size):
        proved = ask(service.GetInclusion, pb.GetInclusionRequest(seq=seq))
        leaf = leaf_hash(proved.entry.entry)
        assert includes(leaf, seq, proved.size, proved.proof, head.root)
    at_three = ask(service.GetInclusion, pb.GetInclusionRequest(seq=1, size=3))
    assert (at_three.size, list(at_three.proof)) == (3, book.inclusion(1, 3))


def test_each_size_goes_on_from_those_before() -> None:
    service, book = served()
    roots = [book.root(size) for size in range(book.size + 1)]
    for earlier in range(book.size + 1):
        request = pb.GetConsistencyRequest(from_size=earlier, to_size=book.size)
        proof = ask(service.GetConsistency, request).proof
        assert extends(earlier, roots[earlier], book.size, roots[-1], proof)


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        ("GetConsistency", pb.GetConsistencyRequest(from_size=3, to_size=2), "from_size"),
        ("GetConsistency", pb.GetConsistencyRequest(from_size=0, to_size=99), "to_size"),
        ("GetConsistency", pb.GetConsistencyRequest(from_size=2**64 - 1, to_size=3), "from_size"),
        ("GetInclusion", pb.GetInclusionRequest(seq=99), "seq"),
        ("GetInclusion", pb.GetInclusionRequest(seq=3, size=3), "seq"),
        ("GetInclusion", pb.GetInclusionRequest(seq=2**64 - 1), "seq"),
        ("GetInclusion", pb.GetInclusionRequest(seq=3, size=99), "size"),
    ],
)
def test_a_place_that_the_log_has_not_is_refused_with_its_field(
    call: str, request_: Any, field: str
) -> None:
    service, _ = served()
    with pytest.raises(Refused) as caught:
        ask(getattr(service, call), request_)
    assert (caught.value.reason, caught.value.field) == (MarketReason.NOT_IN_LOG, field)


def test_entries_come_in_pages_that_end() -> None:
    service, book = served()
    seen, following = [], 0
    while True:
        request = pb.ListEntriesRequest(from_seq=following, page_size=4)
        page = ask(service.ListEntries, request)
        assert len(page.entries) <= 4
        seen += list(page.entries)
        following = page.next_seq
        if not following:
            break
    assert seen == book.entries(0, book.size)
    for beyond in (book.size, 2**64 - 1):
        page = ask(service.ListEntries, pb.ListEntriesRequest(from_seq=beyond))
        assert (list(page.entries), page.next_seq) == ([], 0)


@pytest.mark.parametrize("page_size", [-1, 0, 2**31 - 1])
def test_a_page_of_an_odd_size_is_one_of_a_usual_size(page_size: int) -> None:
    service, book = served()
    page = ask(service.ListEntries, pb.ListEntriesRequest(page_size=page_size))
    assert len(page.entries) == book.size


def test_money_comes_in_once_a_key_and_only_by_the_operator() -> None:
    service, book = served()
    request = pb.DepositRequest(key="k", account="eve", nano=5)
    with pytest.raises(Refused):
        ask(service.Deposit, request)
    sign("Deposit", request, "operator", 1, OPERATOR, book.log_id)
    first = ask(service.Deposit, request)
    again = ask(service.Deposit, sign("Deposit", request, "operator", 2, OPERATOR, book.log_id))
    assert (first.seq, first.free_nano) == (again.seq, again.free_nano)
    assert book.balance("eve") == 5
    other = pb.DepositRequest(key="k", account="eve", nano=6)
    with pytest.raises(LedgerRefused) as caught:
        ask(service.Deposit, sign("Deposit", other, "operator", 3, OPERATOR, book.log_id))
    assert caught.value.reason is LedgerReason.KEY_REUSED


def test_money_leaves_up_to_what_is_free() -> None:
    service, book = served()
    balance = book.balance("bob")
    for nonce, (nano, key) in enumerate(((balance + 1, "a"), (balance, "b"))):
        request = pb.WithdrawRequest(key=key, account="bob", nano=nano)
        sign("Withdraw", request, "operator", nonce, OPERATOR, book.log_id)
        if nano > balance:
            with pytest.raises(LedgerRefused) as caught:
                ask(service.Withdraw, request)
            assert caught.value.reason is LedgerReason.BALANCE_TOO_LOW
        else:
            assert ask(service.Withdraw, request).free_nano == 0
    answer = ask(service.GetBalance, pb.GetBalanceRequest(account="bob"))
    assert (answer.free_nano, answer.locked_nano) == (0, 0)


def test_what_was_refused_is_not_carried_out_when_whoever_saw_it_says_it_again() -> None:
    service, book = served()
    balance = book.balance("bob")
    request = pb.WithdrawRequest(key="w", account="bob", nano=balance + 5)
    sign("Withdraw", request, "operator", 1, OPERATOR, book.log_id)
    with pytest.raises(LedgerRefused):
        ask(service.Withdraw, request)
    book.write("deposit/later", deposit("bob", 5))
    with pytest.raises(Refused) as caught:
        ask(service.Withdraw, request)
    assert caught.value.reason is MarketReason.STALE_NONCE
    assert book.balance("bob") == balance + 5
    # By the operator's new word it is; and said again it is answered as it was.
    sign("Withdraw", request, "operator", 2, OPERATOR, book.log_id)
    assert ask(service.Withdraw, request) == ask(service.Withdraw, request)
    assert book.balance("bob") == 0


def word_of(method: str) -> Any:
    """The operator's word, that takes or makes 1 nano of money."""
    match method:
        case "Deposit":
            return pb.DepositRequest(key="k", account="bob", nano=1)
        case "Withdraw":
            return pb.WithdrawRequest(key="k", account="bob", nano=1)
        case "Refund":
            return pb.RefundRequest(trade_id="due")
        case _:
            return pb.RotateKeyRequest(key="k")


@pytest.mark.parametrize("method", ["Deposit", "Withdraw", "Refund", "RotateKey"])
def test_a_word_that_is_said_again_while_it_is_carried_out_is_answered_alike(method: str) -> None:
    """As of a client whose connection breaks, and who asks again before the disk has answered."""
    service, book = served()
    book.write("due/lock", lock("due", ann=5))
    size = book.size
    request = sign(method, word_of(method), "operator", 1, OPERATOR, book.log_id)

    async def all_at_once() -> list[Any]:
        call = getattr(service, method)
        return await asyncio.gather(*[call(request, None) for _ in range(3)])

    answers = asyncio.run(all_at_once())
    assert answers[0] == answers[1] == answers[2]
    assert (book.size, len(service._alone._under_way)) == (size + 1, 0)


def test_a_word_that_is_refused_is_so_for_all_that_waited_for_it() -> None:
    service, book = served()
    request = pb.WithdrawRequest(key="w", account="bob", nano=book.balance("bob") + 1)
    sign("Withdraw", request, "operator", 1, OPERATOR, book.log_id)

    async def all_at_once() -> list[object]:
        calls = [service.Withdraw(request, None) for _ in range(3)]
        return await asyncio.gather(*calls, return_exceptions=True)

    ended = asyncio.run(asyncio.wait_for(all_at_once(), 30))
    reasons = [each.reason for each in ended if isinstance(each, LedgerRefused | Refused)]
    assert reasons == [LedgerReason.BALANCE_TOO_LOW, *[MarketReason.STALE_NONCE] * 2]


def test_any_party_brings_back_what_an_escrow_has_once_its_time_is_over() -> None:
    service, book = served()
    book.write("early/lock", lock("early", refundable_unix_ns=10**18, ann=5))
    book.write("due/lock", lock("due", ann=5))
    free, nonces = book.balance("ann"), count()

    def refund(trade_id: str, by: SigningKey = ANN) -> int:
        request = pb.RefundRequest(trade_id=trade_id)
        return int(
            ask(service.Refund, sign("Refund", request, "ann", next(nonces), by, book.log_id)).seq
        )

    for trade_id, reason in (
        ("early", LedgerReason.NOT_REFUNDABLE_YET),
        ("none", LedgerReason.NO_ESCROW),
        ("", LedgerReason.ID_MALFORMED),
    ):
        with pytest.raises(LedgerRefused) as caught:
            refund(trade_id)
        assert (caught.value.reason, caught.value.field) == (reason, "trade_id")
    with pytest.raises(Refused):
        refund("due", SigningKey.new())
    first = refund("due")
    assert refund("due") == first == book.size - 1
    assert (book.balance("ann"), book.has_escrow("early")) == (free + 5, True)


def test_what_the_market_means_to_pay_is_not_brought_back_however_late_it_is() -> None:
    """Power has flowed while the exchange was away; who has to pay asks for his money before it has read the meters."""
    service, book = served(4, "late")
    book.write("late/lock", lock("late", ann=5))
    request = pb.RefundRequest(trade_id="late")
    sign("Refund", request, "ann", 1, ANN, book.log_id)
    for reason in (MarketReason.TRADE_OPEN, MarketReason.STALE_NONCE):
        with pytest.raises(Refused) as caught:
            ask(service.Refund, request)
        assert caught.value.reason is reason
    assert book.has_escrow("late")


def test_what_the_market_cannot_pay_for_a_week_is_brought_back() -> None:
    clock = Clock()
    service, book = served(4, "stuck", clock=clock)
    due_ns = clock.at_unix_ns + 5
    book.write("stuck/lock", lock("stuck", refundable_unix_ns=due_ns, ann=5))
    free, week_ns = book.balance("ann"), 7 * 86_400 * 10**9

    def refund(nonce: int) -> Any:
        request = pb.RefundRequest(trade_id="stuck")
        return ask(service.Refund, sign("Refund", request, "ann", nonce, ANN, book.log_id))

    clock.at_unix_ns = due_ns + week_ns - 1
    with pytest.raises(Refused, match="1e-09 s more") as caught:
        refund(1)
    assert caught.value.reason is MarketReason.TRADE_OPEN
    clock.at_unix_ns += 1
    assert refund(2) == refund(3)
    assert (book.balance("ann"), book.has_escrow("stuck")) == (free + 5, False)


def test_the_operator_gives_the_log_another_key_once_a_key_of_his_own() -> None:
    service, book = served()

    def rotate(key: str, nonce: int) -> pb.RotateKeyResponse:
        request = pb.RotateKeyRequest(key=key)
        sign("RotateKey", request, "operator", nonce, OPERATOR, book.log_id)
        answer: pb.RotateKeyResponse = ask(service.RotateKey, request)
        return answer

    first, again, other, later = (
        rotate(key, nonce) for nonce, key in enumerate(("k", "k", "l", "k"), 1)
    )
    # Each time the key that this rotation gave it, also once another has followed.
    assert (
        first == again == later and KEY.public_key != first.log_public_key != other.log_public_key
    )
    assert (first.seq, other.seq) == (book.size - 2, book.size - 1)
    assert ask(service.GetHead, pb.GetHeadRequest()).log_public_key == other.log_public_key
    with pytest.raises(LedgerRefused):
        rotate("", 5)
    by_ann = sign("RotateKey", pb.RotateKeyRequest(key="m"), "ann", 6, ANN, book.log_id)
    with pytest.raises(Refused):
        ask(service.RotateKey, by_ann)
    assert book.size - 1 == other.seq
