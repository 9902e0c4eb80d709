"""The interface of market mechanisms, version 1: orders of one interval in, matches and prices out.

A mechanism decides nothing for good: each match is a proposal until the network holds a circuit for it. Who gets a
clearing can have it judged by :mod:`trading.mechanisms.verify`, which knows no mechanism's way of working.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from trading.core.orders import PPM, Order
from trading.core.units import MicroPerKwh, Wh
from trading.mechanisms.network import MarketNetwork
from trading.reasons import MarketReason

# Plug-ins say which one they were written for.
INTERFACE_VERSION = 1
GROUP = "digitalgrid.market_mechanisms"


class Match(msgspec.Struct, frozen=True):
    """``wh`` at the delivery point, for which the buyer pays ``buyer_price`` and the seller gets ``seller_price``.

    Where both are not one price, what is between them is the operator's, and never below 0. ``injected_wh`` is what it
    takes of the seller's order, and ``injected_ppm`` what has to be injected for a million delivered: more than that
    where the seller's limit is at his router, and losses are his. ``path`` are links, source first, where the mechanism
    has chosen them.
    """

    buy_seq: int
    sell_seq: int
    wh: Wh
    buyer_price: MicroPerKwh
    seller_price: MicroPerKwh
    injected_wh: Wh
    injected_ppm: int = PPM
    path: tuple[str, ...] = ()


class Price(msgspec.Struct, frozen=True):
    """The price at a router, or of the whole market where ``router_id`` is empty."""

    router_id: str
    price: MicroPerKwh


class Unmatched(msgspec.Struct, frozen=True):
    """What of an order found nobody, and why."""

    seq: int
    wh: Wh
    reason: MarketReason


class Clearing(msgspec.Struct, frozen=True):
    """The answer. ``prices`` is empty where nothing is traded: no trade has no price, which is not a price of 0.

    ``certificate`` is what lets somebody else prove the answer best (see :mod:`trading.mechanisms.verify`), None where
    a mechanism does not claim that. ``seed`` is the one that was given, for whoever repeats it. ``is_path_priced``:
    buyers' prices have tolls and losses of the paths in them, so that neither is charged again.
    """

    matches: tuple[Match, ...]
    prices: tuple[Price, ...]
    unmatched: tuple[Unmatched, ...]
    certificate: object = None
    seed: int = 0
    is_path_priced: bool = False


class UniformPrice(msgspec.Struct, frozen=True):
    """The certificate of a market of one price: at it, everybody has what he would choose, and no more could be had."""

    price: MicroPerKwh | None


class NodalPrices(msgspec.Struct, frozen=True):
    """The certificate: prices per MWh by router, received power by arc, and by seq what is generated and delivered (W).

    Linear prices that support an allocation prove its welfare the greatest, whoever found it and how.
    """

    price_per_mwh: tuple[float, ...]
    received_w: tuple[float, ...]
    power_w: dict[int, float]


class Mechanism(Protocol):
    """What an entry point of group ``digitalgrid.market_mechanisms`` names: an instance, or a class that is called
    without arguments.
    """

    @property
    def interface_version(self) -> int:
        """1."""

    def clear(self, orders: Sequence[Order], network: MarketNetwork, seed: int) -> Clearing:
        """Matches among orders of one interval, each with a ``seq`` of its own.

        Pure: the same orders in any other sequence give the same answer. Whatever is drawn comes from ``seed``. No
        match is of 0 Wh, beyond a limit, of one party with itself, or of a pair that the network bars.
        """
