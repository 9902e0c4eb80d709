"""Whether an order is decided: nothing of it waits, and each of its trades is agreed for good, or over."""

from collections.abc import Sequence

import grpc

from digitalgrid.client.errors import RequestRefused
from digitalgrid.market.v1 import market_pb2 as pb

# From where nobody can call a trade off; before, it may still be undone, and its order be back in the book.
_UNCERTAIN = frozenset(
    {
        pb.TRANSACTION_STATE_UNSPECIFIED,
        pb.TRANSACTION_STATE_MATCHED,
        pb.TRANSACTION_STATE_HOLDING,
        pb.TRANSACTION_STATE_HELD,
        pb.TRANSACTION_STATE_FUNDED,
        pb.TRANSACTION_STATE_REVOKING,
        pb.TRANSACTION_STATE_UNWINDING,
    }
)
UNDONE = frozenset(
    {
        pb.TRANSACTION_STATE_REJECTED,
        pb.TRANSACTION_STATE_EXPIRED,
        pb.TRANSACTION_STATE_CANCELLED,
    }
)


def is_decided(order: pb.Order, trades: Sequence[pb.Transaction]) -> bool:
    """Where both are of one moment: what was undone meanwhile may have put the order back."""
    agreed_wh = sum(each.wh for each in trades if each.state not in UNDONE)
    is_certain = not any(each.state in _UNCERTAIN for each in trades)
    return not order.open_wh and is_certain and agreed_wh == order.matched_wh


class Undecided(RequestRefused):
    """An order was taken, and is neither matched nor over within the time that it was waited for."""


def undecided(order: pb.Order, timeout_s: float) -> Undecided:
    return Undecided(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        f"order {order.tender.order_id} is not decided after {timeout_s:g} s: {order.open_wh} Wh of it wait,"
        f" {order.matched_wh} Wh are matched",
    )
