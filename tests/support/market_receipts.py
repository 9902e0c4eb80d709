"""A trade that stands in a ledger's log with all its entries, and its receipt."""

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.ledgers import close, deposit, ledger
from tests.support.sagas import HELD, told, trade
from trading.core.trades import Begin, Trade
from trading.exchange.services.receipts import receipt_of
from trading.exchange.terms import salt_of, terms_bytes, terms_hash
from trading.ledger.ledger import Ledger

SECRET = b"the market's"


def settled(book: Ledger | None = None, trade_id: str = "t1") -> tuple[Ledger, Trade, pb.Receipt]:
    """Its entries stand among others'."""
    book = book or ledger()
    one = trade()
    one.trade_id = trade_id
    one.buy_meter, one.sell_meter = "meter of ann", "meter of bob"
    one.path = ("line from bob", "line to ann")
    told(one, Begin(), HELD)
    terms, salt = terms_bytes(one), salt_of(SECRET, trade_id)
    agreed = terms_hash(terms, salt)
    stakes = [ledger_pb2.Stake(account="ann", nano=10), ledger_pb2.Stake(account="bob", nano=5)]
    lock = ledger_pb2.Lock(trade_id=trade_id, stakes=stakes, terms_hash=agreed)
    commitment = ledger_pb2.Commitment(kind="transaction", sha256=agreed)
    for key, entry in (
        (f"{trade_id}/ann", deposit("ann", 10)),
        (f"{trade_id}/bob", deposit("bob", 5)),
        (f"{trade_id}/lock", ledger_pb2.Entry(lock=lock)),
        (f"{trade_id}/sign", ledger_pb2.Entry(commitment=commitment)),
        (f"{trade_id}/other", deposit("eve", 1)),
        (f"{trade_id}/close", close(trade_id, ("ann", "bob", 10), ("bob", "bob", 5))),
    ):
        book.write(key, entry)
    return book, one, receipt_of(book, trade_id, terms, salt)
