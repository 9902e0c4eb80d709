"""``dgctl market``: tenders, trades, bills and the ledger of a market."""

from dgctl.market.group import market

__all__ = ["market"]
