"""Receipts: the entries of the log that a trade stands on, each with its way to one signed head."""

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from trading.ledger.ledger import Ledger

# What the saga writes of a trade, by the ends of its keys (see trading.core.asking), and what anybody may.
_STEPS = ("lock", "sign", "part", "close", "refund")


def receipt_of(book: Ledger, trade_id: str, terms: bytes, salt: bytes) -> pb.Receipt:
    """With as many entries as there are by now: of a trade that was refused before money was locked, none."""
    signed_head = book.head()
    size = ledger_pb2.TreeHead.FromString(signed_head.head).size
    receipt = pb.Receipt(
        log_public_key=book.public_key,
        head=signed_head.head,
        head_key_id=signed_head.key_id,
        head_signature=signed_head.signature,
        terms=terms,
        salt=salt,
    )
    for step in _STEPS:
        seq = book.seq_of(f"{trade_id}/{step}")
        if seq is None:
            continue
        (signed,) = book.entries(seq, 1)
        receipt.entries.add(
            entry=signed.entry,
            key_id=signed.key_id,
            signature=signed.signature,
            inclusion=book.inclusion(seq, size),
        )
    return receipt
