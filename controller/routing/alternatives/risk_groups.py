"""Pairs of paths that share no risk: no link, and no group of links that a single event would take down.

With groups the problem is NP-hard (J. Q. Hu, "Diverse routing in optical mesh networks", IEEE Transactions on
Communications 51, 2003). First paths are tried by rank, each with the best second path that avoids its risks. Ranks
go by costs to which the dual prices of the pair that is disjoint in links only are added: then twice the cost of a
path, less all prices, is a lower bound for every pair that has no path of a lower rank, and it begins at the cost of
that pair. So little must be tried before the best pair is known to be the best.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, log

import numpy as np

from controller.routing.alternatives.deviations import RankingAsk
from controller.routing.alternatives.k_best import PathRanking
from controller.routing.alternatives.pair_search import LeastPairs, PricedPair, PricedPath, Question
from controller.routing.graph import Ints, PowerGraph

# Costs that differ by no more than this, relatively, are taken for equal when bounds are compared.
_RELATIVE_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class RiskGroups:
    """The groups of link l are ``groups[start[l]:start[l + 1]]``; a link may be in several, or in none."""

    start: Ints
    groups: Ints

    @staticmethod
    def none(graph: PowerGraph) -> "RiskGroups":
        links = int(graph.link.max()) + 1 if graph.arc_count else 0
        return RiskGroups(np.zeros(links + 1, np.int32), np.zeros(0, np.int32))

    def of_links(self, links: frozenset[int]) -> frozenset[int]:
        return frozenset(
            int(group)
            for link in links
            for group in self.groups[self.start[link] : self.start[link + 1]]
        )


@dataclass(frozen=True, slots=True)
class _Risks:
    """Links and groups: of a path, or those that paths of a pair may share."""

    links: frozenset[int]
    groups: frozenset[int]

    def __and__(self, other: "_Risks") -> "_Risks":
        return _Risks(self.links & other.links, self.groups & other.groups)

    def __sub__(self, other: "_Risks") -> "_Risks":
        return _Risks(self.links - other.links, self.groups - other.groups)

    def __len__(self) -> int:
        return len(self.links) + len(self.groups)


_NO_RISKS = _Risks(frozenset(), frozenset())


class RiskSearch:
    """Searches for pairs that share no risks, one at a time, on the graph of ``pairs``."""

    def __init__(self, pairs: LeastPairs, risk_groups: RiskGroups) -> None:
        """Raises ValueError where there are not groups for as many links as the graph has."""
        graph = pairs.graph
        links = int(graph.link.max()) + 1 if graph.arc_count else 0
        if len(risk_groups.start) < links + 1:
            raise ValueError(
                f"risk groups are given for {len(risk_groups.start) - 1} links of {links}"
            )
        self._pairs = pairs
        self._groups = risk_groups
        self._ranking = PathRanking(graph)
        self._arcs_of_link = _rows(graph.link, np.arange(graph.arc_count, dtype=np.int32), links)
        all_links = np.arange(len(risk_groups.start) - 1, dtype=np.int32)
        of_link = np.repeat(all_links, np.diff(risk_groups.start))
        groups = int(risk_groups.groups.max()) + 1 if len(risk_groups.groups) else 0
        self._links_of_group = _rows(risk_groups.groups, of_link, groups)

    def shared_links(self, pair: PricedPair) -> frozenset[int]:
        return self._common(pair.first, pair.second).links

    def shared_groups(self, pair: PricedPair) -> frozenset[int]:
        if not len(self._groups.groups):
            return frozenset()
        return self._common(pair.first, pair.second).groups

    def best(
        self, question: Question, maximally: bool, most_first_paths: int
    ) -> tuple[PricedPair | None, bool]:
        """The best pair, and whether that is proven; ``maximally`` as for :meth:`PairSearch.best`."""
        pair, proven = self._disjoint(question, _NO_RISKS, most_first_paths)
        if pair is not None or not maximally:
            return pair, proven
        shortest = self._pairs.path(question)
        if shortest is None:
            return None, True
        forced = self._forced(question, shortest)
        if forced:
            pair, forced_proven = self._disjoint(question, forced, most_first_paths)
            if pair is not None:
                return pair, forced_proven
        return self._least_shared(question, most_first_paths)

    def _disjoint(
        self, question: Question, allowed: _Risks, most_first_paths: int
    ) -> tuple[PricedPair | None, bool]:
        """The cheapest pair that shares nothing but what is allowed."""
        free_arcs = self._arcs_of(allowed.links)
        relaxed = self._pairs.pair(question, free_arcs=free_arcs)
        if relaxed is None:
            return None, True
        if not self._common(relaxed.first, relaxed.second) - allowed:
            return self._counted(relaxed), True
        scarce = self._pairs.scarcity_of(relaxed)
        free = set(free_arcs.tolist())
        prices = sum(log(factor) * (2 if arc in free else 1) for arc, factor in scarce.items())
        best, best_cost = None, inf
        for rank, (first, priced) in enumerate(self._ranked(question, scarce)):
            if 2.0 * priced - prices >= best_cost * (1.0 - _RELATIVE_TOLERANCE):
                return best, True
            if rank == most_first_paths:
                return best, False
            exclusive = self._risks(first) - allowed
            second = self._pairs.path(question.without(self._arcs_at(exclusive)))
            if second is not None and first.cost + second.cost < best_cost:
                best, best_cost = self._counted(_pair(first, second)), first.cost + second.cost
        return best, True

    def _least_shared(
        self, question: Question, most_first_paths: int
    ) -> tuple[PricedPair | None, bool]:
        """The best of all pairs of the first paths by rank; proven where there are no more paths."""
        ranked: list[tuple[PricedPath, _Risks]] = []
        # The first paths by rank are much alike, so where there are very many another pair may be better.
        best = self._pairs.pair(question, may_share=True)
        if best is None:
            return None, True
        best = self._counted(best)
        best_key = (float(best.shared), best.cost)
        for first, _ in self._ranked(question, {}):
            if len(ranked) == most_first_paths:
                return best, False
            risks = self._risks(first)
            ranked.append((first, risks))
            for second, others in ranked:
                key = (float(len(risks & others)), first.cost + second.cost)
                if key < best_key:
                    best, best_key = self._counted(_pair(first, second)), key
        return best, True

    def _forced(self, question: Question, path: PricedPath) -> _Risks:
        """What all paths use: it is on this one, and without it there is none."""
        risks = self._risks(path)

        def without(arcs: Ints) -> bool:
            return self._pairs.path(question.without(arcs)) is None

        return _Risks(
            frozenset(link for link in risks.links if without(self._arcs_of(frozenset([link])))),
            frozenset(
                group
                for group in risks.groups
                if without(self._arcs_at(_Risks(frozenset(), frozenset([group]))))
            ),
        )

    def _ranked(
        self, question: Question, factor: Mapping[int, float]
    ) -> Iterator[tuple[PricedPath, float]]:
        """Paths in the order of their cost with the factors, and that cost."""
        ask = RankingAsk(0, question.sink, question.sink_w, inf, True, inf)
        available_w = dict.fromkeys(question.sources.tolist(), inf)
        avoid = question.avoid_nodes.tolist(), question.avoid_arcs.tolist()
        for arcs, label_w in self._ranking.ranked(ask, available_w, *avoid, factor):
            yield self._pairs.priced(arcs[::-1], question), log(label_w / question.sink_w)

    def _risks(self, path: PricedPath) -> _Risks:
        links = frozenset(self._pairs.graph.link[list(path.arcs)].tolist())
        return _Risks(links, self._groups.of_links(links))

    def _common(self, one: PricedPath, other: PricedPath) -> _Risks:
        return self._risks(one) & self._risks(other)

    def _counted(self, pair: PricedPair) -> PricedPair:
        return PricedPair(pair.first, pair.second, len(self._common(pair.first, pair.second)))

    def _arcs_of(self, links: frozenset[int]) -> Ints:
        start, arcs = self._arcs_of_link
        return _gathered([arcs[start[link] : start[link + 1]] for link in links])

    def _arcs_at(self, risks: _Risks) -> Ints:
        """The arcs that carry any of these risks."""
        start, links = self._links_of_group
        at_groups = _gathered([links[start[group] : start[group + 1]] for group in risks.groups])
        return self._arcs_of(risks.links | frozenset(at_groups.tolist()))


def _pair(one: PricedPath, other: PricedPath) -> PricedPair:
    return PricedPair(one, other, 0) if one.cost <= other.cost else PricedPair(other, one, 0)


def _rows(row_of: Ints, values: Ints, rows: int) -> tuple[Ints, Ints]:
    """Compressed rows: the start of each, and the values in their order."""
    start = np.zeros(rows + 1, np.int32)
    np.cumsum(np.bincount(row_of, minlength=rows), out=start[1:])
    return start, values[np.argsort(row_of, kind="stable")]


def _gathered(rows: list[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int32), *rows])
