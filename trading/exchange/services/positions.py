"""Positions as messages, by interval and meter, a page at a time."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from itertools import chain, islice

from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.orders import Interval, Meter, Side
from trading.exchange.services.codec import interval_to_pb
from trading.exchange.services.paging import TURN_ROWS, token_of
from trading.exchange.services.turns import another_turn
from trading.market.market import Market

# When an interval begins, and the number of a meter among all of the market by their ids.
Place = tuple[int, int]
FIRST: Place = (0, 0)


class Positions:
    """Of all intervals that have not ended."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._meters = [meter for _, meter in sorted(market.meters.items())]
        self._number_of = {meter.meter_id: number for number, meter in enumerate(self._meters)}
        self._numbers_of: defaultdict[str, list[int]] = defaultdict(list)
        for number, meter in enumerate(self._meters):
            self._numbers_of[meter.party].append(number)

    async def page(self, party: str, count: int, first: Place) -> pb.ListPositionsResponse:
        """Of a party's meters, or of all that tendered; others are heard meanwhile."""
        places = self._of_party(party) if party else self._of_all()
        # One more tells whether there is another page.
        found = await _least((each for each in places if each >= first), count + 1)
        answer = pb.ListPositionsResponse()
        for start_ns, number in found[:count]:
            session = self._market.sessions.get(start_ns)
            # It may have ended meanwhile.
            if session is not None:
                self._add(answer, self._meters[number], session.interval)
        if len(found) > count:
            answer.next_page_token = token_of(*found[count])
        return answer

    def _of_party(self, party: str) -> Iterator[Place]:
        numbers = self._numbers_of.get(party, ())
        return ((start, number) for start in list(self._market.sessions) for number in numbers)

    def _of_all(self) -> Iterator[Place]:
        for meter_id, interval in list(self._market.positions.rows()):
            number = self._number_of.get(meter_id)
            # It may have been in the configuration when it tendered.
            if number is not None:
                yield interval.start_ns, number

    def _add(self, answer: pb.ListPositionsResponse, meter: Meter, interval: Interval) -> None:
        answer.positions.append(self.of(meter, interval))

    def of(self, meter: Meter, interval: Interval) -> pb.Position:
        positions = self._market.positions
        position = positions.of(meter.meter_id, interval)
        return pb.Position(
            meter_id=meter.meter_id,
            interval=interval_to_pb(interval),
            bought_wh=position.bought,
            sold_wh=position.sold,
            open_bought_wh=position.open_bought,
            open_sold_wh=position.open_sold,
            most_bought_wh=positions.most(meter, interval, Side.BUY),
            most_sold_wh=positions.most(meter, interval, Side.SELL),
        )


async def _least(places: Iterable[Place], count: int) -> list[Place]:
    least: list[Place] = []
    left = iter(places)
    while some := list(islice(left, TURN_ROWS)):
        least = nsmallest(count, chain(least, some))
        await another_turn()
    return least
