"""Successive shortest paths by agents, one per router (Ahuja, Magnanti and Orlin 1993, "Network Flows", section 9.7).

A token goes round the tree, and whoever has it may search: a router that lacks power asks its neighbours, by a
distributed Bellman-Ford, at which cost each router could bring power to it; the cheapest source sends what the way can
carry, and so on until nothing is missing. One that has too much, after a change, finds where to put it in the same way,
with the signs turned. A flow that is built of cheapest ways is the cheapest of its amount, whoever is served first.

At the end, prices are computed: they prove to neighbours that the flow is optimal, and after a change they show what of
it can stay. A line whose cost does not fit the prices any more is filled or emptied by both its ends, and the routers
there lack power, or have too much; all else stays.
"""

from collections.abc import Iterable
from dataclasses import replace

from router_agent.distributed.coordination import CoordinatedAgent
from router_agent.distributed.line_end import LineEnd, Offer
from router_agent.distributed.messages import (
    Candidate,
    Carry,
    Change,
    Claim,
    Kind,
    Label,
    Stage,
    Summary,
    Token,
)
from router_agent.distributed.problem import Cell, Line, UnusableProblem

# More than any detour costs; the same for ever, so that what is short stays so when costs or routers change.
_PENALTY = 1 << 62


class SuccessiveShortestPathAgent(CoordinatedAgent):
    def __init__(self, cell: Cell, lines: Iterable[Line] = ()) -> None:
        super().__init__(cell, lines)
        self.cell.penalty = _PENALTY

    def _joined(self) -> None:
        self._forget_search()

    def _forget_search(self) -> None:
        self._label: Label | None = None
        self._next_hop: LineEnd | None = None
        self._best: Candidate | None = None
        # From whom I know of the best candidate; None where it is my own.
        self._best_from: LineEnd | None = None
        self._waits_for_power = False
        for end in self.ends.values():
            end.forget_labels()

    def _all_neighbours_known(self) -> None:
        for way in (1, -1):
            for offer in self.cell.offers(way):
                if offer.cost < way * self.price:
                    self.cell.draw(way, offer.cost, offer.amount)
        for end in self.ends.values():
            for way in (1, -1):
                for offer in end.offers(way):
                    if offer.cost + way * end.their_price < way * self.price:
                        end.adjust_together(end.inflow + way * offer.amount)

    # The token

    def _run(self, summary: Summary) -> None:
        cost = summary.highest_cost
        if (summary.routers + 2) * cost >= _PENALTY:
            raise UnusableProblem(
                f"a cost of {cost} is too high, want less than {_PENALTY}/(n + 2)"
            )
        self._reach(Stage(0, Kind.SEARCH, 1, 0, summary.routers, cost, summary.is_radial))

    def _ended(self) -> bool:
        if self._stage is None or self._waits_for_power:
            return False
        stage = self._stage
        if stage.kind is Kind.PRICES:
            self._finish()
        elif self._best is not None:
            self._claim()
        elif self._label is not None:
            self._start_over()  # no way to be balanced, where there always is one
        elif need := self.need:
            self._reach(replace(stage, number=stage.number + 1, sign=1 if need > 0 else -1))
            self._label = Label(0, 0, abs(need))
        else:
            self._pass_on(stage)
        return True

    def _pass_on(self, stage: Stage) -> None:
        for end in self.ends.values():
            if end.unbalanced_child:
                end.unbalanced_child = False
                self._leads_stage = False
                self._send(end, Token(stage))
                return
        if self._parent is None:
            self._reach(replace(stage, number=stage.number + 1, kind=Kind.PRICES, sign=1))
        else:
            self._leads_stage = False
            self._send(self._parent, Token(stage))

    def _take_turn(self, end: LineEnd, body: Token | Claim | Carry) -> None:
        match body:
            case Token(last):
                self._stage = last
                self._forget_search()
                self._leads_stage = True
            case Claim():
                self._claim()
            case Carry(amount):
                self._carry(amount)

    # Searching

    def _entered(self, former: Stage | None, stage: Stage) -> None:
        self._forget_search()
        if stage.kind is Kind.PRICES:
            costs = [offer.cost for offer in self.cell.offers(1)]
            self._label = Label(min([self.cell.penalty, *costs]))
            self._tell_children()

    def _act(self) -> None:
        stage = self._current
        if stage.kind is Kind.PRICES:
            self._spread_price()
        else:
            self._spread_search(stage.sign)

    def _spread_search(self, sign: int) -> None:
        if not self._leads_stage:
            self._choose_next_hop(sign)
        if self._label is None:
            return
        if self._label.hops > self._current.routers:
            self._start_over()  # a ring of negative cost, which prices and flows that fit leave no room for
            return
        self._consider_own(sign, self._label)
        for end in self.ends.values():
            if end is not self._next_hop and end.may_be_told(self._label):
                end.to_send = end.told_label is not None or self._may_follow(end, sign)

    def _choose_next_hop(self, sign: int) -> None:
        """What the next hop says may change in its amount alone, so all is computed again."""
        best, where = None, None
        for end in self.ends.values():
            requests = end.requests(sign)
            if end.label is None or not requests:
                continue
            distance, hops = end.label.distance + requests[0].cost, end.label.hops + 1
            if best is None or (distance, hops) < (best.distance, best.hops):
                best = Label(distance, hops, min(end.label.amount, requests[0].amount))
                where = end
        self._label, self._next_hop = best, where

    def _may_follow(self, end: LineEnd, sign: int) -> bool:
        """Whether this router's label could be news to the neighbour."""
        offers = end.offers(sign)
        if not offers or self._label is None:
            return False
        via_me = self._label.distance + offers[0].cost, self._label.hops + 1
        return end.label is None or via_me <= (end.label.distance, end.label.hops)

    def _consider_own(self, sign: int, label: Label) -> None:
        own = None
        if offers := self.cell.offers(sign):
            cheapest = min(offer.cost for offer in offers)
            own = Candidate(False, label.distance + cheapest, label.hops, self.router)
        elif sign * self.need < 0:
            # The shortest way from here might lead through sources, which labels do not see: only where there is none.
            own = Candidate(True, label.distance, label.hops, self.router)
        if own is not None and (self._best is None or own < self._best):
            self._best, self._best_from = own, None

    def _label_for(self, end: LineEnd) -> Label | None:
        end.told_label = self._label
        return self._label

    def _report(self) -> Candidate | None:
        return self._best

    def _merge(self, end: LineEnd, report: Change | Candidate) -> None:
        assert isinstance(report, Candidate)
        if self._best is None or report < self._best:
            self._best, self._best_from = report, end

    # Carrying

    def _claim(self) -> None:
        if self._best_from is not None:
            self._waits_for_power = self._leads_stage
            self._send(self._best_from, Claim())
            return
        label = self._label
        if self._stage is None or label is None or self._best is None:
            self._start_over()  # nothing was found here, so nothing can be claimed
            return
        sign = self._stage.sign
        if self._best.last_resort:
            amount = min(label.amount, abs(self.need))
        else:
            offers = self.cell.offers(sign)
            cheapest = min(offers, key=lambda offer: offer.cost, default=Offer(0, 0))
            amount = self.cell.draw(sign, cheapest.cost, min(label.amount, cheapest.amount))
        self._carry(amount)

    def _carry(self, amount: int) -> None:
        if self._stage is None or amount <= 0:
            self._start_over()
            return
        if self._next_hop is not None:
            self._next_hop.draw(-self._stage.sign, amount)
            self._send(self._next_hop, Carry(amount))
        # The flow is another one now, and what was found in the former is of no use.
        self._forget_search()

    # Prices

    def _spread_price(self) -> None:
        assert self._label is not None
        price, hops = self._label.distance, self._label.hops
        for end in self.ends.values():
            if end.label is not None and (offers := end.offers(1)):
                by_this = end.label.distance + offers[0].cost
                if by_this < price:
                    price, hops = by_this, end.label.hops + 1
        if hops > self._current.routers:
            self._start_over()
            return
        self.price = price
        self._label = Label(price, hops)
        for end in self.ends.values():
            known = self.cell.penalty if end.label is None else end.label.distance
            requests = end.requests(1)
            helps = bool(requests) and price + requests[0].cost < known
            if end.may_be_told(self._label) and (helps or end.told_label is not None):
                end.to_send = True
