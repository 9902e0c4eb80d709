"""A cell as an algorithm sees it: sources that give something now, and a shortage that stands for demand not served."""

from router_agent.distributed.line_end import Offer
from router_agent.distributed.messages import Stage
from router_agent.distributed.problem import Cell


class LocalCell:
    """Shortage counts as supply at a penalty that no way of serving the demand can cost, so less of it comes first.

    All sources hang on one imaginary ground whose price is 0 for ever; each router has its own part of it, and so the
    ground needs no agent.
    """

    def __init__(self, cell: Cell, scale: int) -> None:
        self._scale = scale
        self.penalty = 0
        self.cell = cell
        self.outputs = {source.id: 0 for source in cell.sources}
        self.shortage = 0

    def change(self, cell: Cell) -> None:
        self.cell = cell
        self.outputs = {source.id: self.outputs.get(source.id, 0) for source in cell.sources}
        self.clip()

    def clip(self) -> None:
        for source in self.cell.sources:
            self.outputs[source.id] = max(0, min(source.limit, self.outputs[source.id]))
        self.shortage = max(0, min(self.cell.demand, self.shortage))

    def within_limits(self) -> bool:
        return 0 <= self.shortage <= self.cell.demand and all(
            0 <= self.outputs[source.id] <= source.limit for source in self.cell.sources
        )

    def set_penalty(self, stage: Stage) -> None:
        # A detour has fewer lines than there are routers, and trades one source for another.
        self.penalty = ((stage.routers + 2) * stage.highest_cost + 1) * self._scale

    @property
    def supply(self) -> int:
        return sum(self.outputs.values()) + self.shortage

    def offers(self, sign: int) -> list[Offer]:
        found = [
            Offer(sign * source.cost * self._scale, available)
            for source in self.cell.sources
            if (available := self._available(self.outputs[source.id], source.limit, sign))
        ]
        if available := self._available(self.shortage, self.cell.demand, sign):
            found.append(Offer(sign * self.penalty, available))
        return found

    def draw(self, sign: int, cost: int, amount: int) -> int:
        """Draws up to ``amount`` where it costs ``cost`` per unit; what it got."""
        got = 0
        for source in self.cell.sources:
            if sign * source.cost * self._scale == cost:
                now = min(
                    amount - got, self._available(self.outputs[source.id], source.limit, sign)
                )
                self.outputs[source.id] += sign * now
                got += now
        if sign * self.penalty == cost:
            now = min(amount - got, self._available(self.shortage, self.cell.demand, sign))
            self.shortage += sign * now
            got += now
        return got

    @staticmethod
    def _available(amount: int, limit: int, sign: int) -> int:
        return limit - amount if sign > 0 else amount
