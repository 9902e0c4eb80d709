"""The network as markets see it: where meters are, what lines can carry, and which pairs it has refused."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from controller.routing.graph import PowerGraph, graph_of_links

Pair = tuple[int, int]


@dataclass(frozen=True)
class MarketNetwork:
    """``router_of``: the number in the graph of the router where a meter is. ``link_ids`` and ``toll_per_mwh`` by link.

    ``barred`` are pairs (buy_seq, sell_seq) for which no circuit was to be had: they are not matched again. What the
    graph has reserved stands, and newcomers pay for the losses that they add to it.
    """

    graph: PowerGraph
    router_ids: tuple[str, ...]
    link_ids: tuple[str, ...]
    router_of: Mapping[str, int]
    toll_per_mwh: tuple[float, ...] = ()
    barred: frozenset[Pair] = field(default_factory=frozenset)


def barred_among(barred: Iterable[Pair], seqs: Container[int]) -> set[int]:
    """Orders of those that may not trade with another of those."""
    return {seq for pair in barred if pair[0] in seqs and pair[1] in seqs for seq in pair}


def no_network(barred: frozenset[Pair] = frozenset()) -> MarketNetwork:
    """For mechanisms that do not look at it."""
    return MarketNetwork(graph_of_links([], [], [], [], [], []), (), (), {}, barred=barred)
