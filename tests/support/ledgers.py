"""Entries of ledgers for tests, and ledgers of both storages."""

from collections.abc import Callable
from pathlib import Path

from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.sqlite_storage import SqliteStorage
from trading.ledger.storage import MemoryStorage, Storage

KEY = SigningKey.of_seed(bytes(range(32)))
TERMS = bytes(32)

STORAGES: dict[str, Callable[[Path], Storage]] = {
    "memory": lambda directory: MemoryStorage(),
    "sqlite": lambda directory: SqliteStorage(directory / "ledger"),
}


class Clock:
    """A wall clock that stands still until it is told otherwise."""

    def __init__(self, at_unix_ns: int = 1_000) -> None:
        self.at_unix_ns = at_unix_ns

    def __call__(self) -> int:
        return self.at_unix_ns


def ledger(storage: Storage | None = None, clock: Clock | None = None) -> Ledger:
    return Ledger(storage or MemoryStorage(), KEY, clock or Clock(), "test")


def deposit(account: str, nano: int) -> pb.Entry:
    return pb.Entry(deposit=pb.Deposit(account=account, nano=nano))


def withdrawal(account: str, nano: int) -> pb.Entry:
    return pb.Entry(withdrawal=pb.Withdrawal(account=account, nano=nano))


def transfer(payer: str, payee: str, nano: int) -> pb.Entry:
    return pb.Entry(transfer=pb.Transfer(payer=payer, payee=payee, nano=nano))


def lock(trade_id: str, refundable_unix_ns: int = 0, **stakes: int) -> pb.Entry:
    return pb.Entry(
        lock=pb.Lock(
            trade_id=trade_id,
            stakes=[pb.Stake(account=account, nano=nano) for account, nano in stakes.items()],
            terms_hash=TERMS,
            refundable_unix_ns=refundable_unix_ns,
        )
    )


def payment(trade_id: str, *postings: tuple[str, str, int]) -> pb.Entry:
    return pb.Entry(payment=pb.Payment(trade_id=trade_id, postings=_postings(postings)))


def close(trade_id: str, *postings: tuple[str, str, int]) -> pb.Entry:
    return pb.Entry(close=pb.Close(trade_id=trade_id, postings=_postings(postings)))


def refund(trade_id: str) -> pb.Entry:
    return pb.Entry(refund=pb.Refund(trade_id=trade_id))


def _postings(postings: tuple[tuple[str, str, int], ...]) -> list[pb.Posting]:
    return [pb.Posting(payer=payer, payee=payee, nano=nano) for payer, payee, nano in postings]
