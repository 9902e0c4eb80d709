"""Any sequence of entries, good and bad, retried and taken up anew: money is conserved, and the log verifies."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import given, settings

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import (
    Clock,
    close,
    deposit,
    ledger,
    lock,
    payment,
    refund,
    transfer,
    withdrawal,
)
from trading.ledger.ledger import Receipt, Wanted
from trading.ledger.storage import MemoryStorage
from trading.ledger.verifying import verify

ACCOUNTS = st.sampled_from(["ann", "bob", "eve", "grid"])
TRADES = st.sampled_from(["t1", "t2", "t3"])
NANO = st.integers(0, 12)
POSTINGS = st.lists(st.tuples(ACCOUNTS, ACCOUNTS, NANO), max_size=4)


@st.composite
def bodies(draw: st.DrawFn) -> pb.Entry:
    kind = draw(
        st.sampled_from(["deposit", "withdrawal", "transfer", "lock", "payment", "close", "refund"])
    )
    trade = draw(TRADES)
    match kind:
        case "deposit":
            return deposit(draw(ACCOUNTS), draw(NANO))
        case "withdrawal":
            return withdrawal(draw(ACCOUNTS), draw(NANO))
        case "transfer":
            return transfer(draw(ACCOUNTS), draw(ACCOUNTS), draw(NANO))
        case "lock":
            stakes = draw(st.dictionaries(ACCOUNTS, NANO, max_size=3))
            return lock(trade, draw(st.integers(0, 20)), **stakes)
        case "payment":
            return payment(trade, *draw(POSTINGS))
        case "close":
            return close(trade, *draw(POSTINGS))
        case _:
            return refund(trade)


KEYS = st.integers(0, 30).map("key {}".format)
STEPS = st.lists(
    st.tuples(st.lists(st.tuples(KEYS, bodies()), max_size=4), st.booleans(), st.integers(0, 5)),
    max_size=20,
)


@settings(max_examples=150)
@given(steps=STEPS)
def test_money_is_conserved_whatever_is_asked_for(
    steps: list[tuple[list[tuple[str, pb.Entry]], bool, int]],
) -> None:
    storage, clock = MemoryStorage(), Clock(0)
    book = ledger(storage, clock)
    issued, written = 0, dict[str, pb.Entry]()
    for wanted, taken_up, later_ns in steps:
        clock.at_unix_ns += later_ns
        dones = book.write_many([Wanted(*each) for each in wanted])
        for (key, body), done in zip(wanted, dones, strict=True):
            if isinstance(done, Receipt):
                assert done.is_new == (key not in written)
                assert written.setdefault(key, body) == body
                if done.is_new:
                    issued += body.deposit.nano - body.withdrawal.nano
        if taken_up:
            book = ledger(storage, clock)
        known = ["ann", "bob", "eve", "grid"]
        free = Counter({each: book.balance(each) for each in known})
        locked = Counter({each: book.locked(each) for each in known})
        assert min(*free.values(), *locked.values()) >= 0
        assert free.total() + locked.total() == book.total == issued
    verifier = verify(storage.entries(), storage.head())
    assert verifier.accounts.total == issued
    assert verifier.tree.size == 1 + len(written)
