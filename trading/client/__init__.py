"""The client library of a market, blocking and for asyncio; what anybody can check of its ledger without asking it."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trading.client.aio import AsyncMarketClient
    from trading.client.blocking import MarketClient
    from trading.client.checking import BadLog, Checked, Comparison, check_log, compare_logs
    from trading.client.deciding import Undecided
    from trading.client.defaults import DEFAULT_MARKET
    from trading.client.moving import BadDeparture, departure_text, read_departure
    from trading.client.receipts import BadReceipt, Proved, check_receipt
    from trading.client.signing import Signer
    from trading.client.witnessing import Seen, read_seen, witness_once

__all__ = [
    "DEFAULT_MARKET",
    "AsyncMarketClient",
    "BadDeparture",
    "BadLog",
    "BadReceipt",
    "Checked",
    "Comparison",
    "MarketClient",
    "Proved",
    "Seen",
    "Signer",
    "Undecided",
    "check_log",
    "check_receipt",
    "compare_logs",
    "departure_text",
    "read_departure",
    "read_seen",
    "witness_once",
]

# Imported when they are asked for: who only reads help needs no gRPC and no cryptography.
_MODULES = {
    "AsyncMarketClient": "aio",
    "BadDeparture": "moving",
    "BadLog": "checking",
    "BadReceipt": "receipts",
    "Checked": "checking",
    "Comparison": "checking",
    "DEFAULT_MARKET": "defaults",
    "MarketClient": "blocking",
    "Proved": "receipts",
    "Seen": "witnessing",
    "Signer": "signing",
    "Undecided": "deciding",
    "check_log": "checking",
    "check_receipt": "receipts",
    "compare_logs": "checking",
    "departure_text": "moving",
    "read_departure": "moving",
    "read_seen": "witnessing",
    "witness_once": "witnessing",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
