"""Forecasts: a source is not expected to give all that its power allows, so its meter sells no more."""

from collections.abc import Mapping

from trading.core.orders import Meter, Side
from trading.core.positions import Positions
from trading.core.units import MAX_WH, Wh, whole
from trading.market.calendar import Calendar
from trading.market.order_table import OrderTable, Row
from trading.market.phases import Phase
from trading.market.sessions import Session
from trading.reasons import MarketReason, Refused


class Forecasts:
    """Of intervals that take tenders; kept with them. What is sold stays sold; what is only offered does not."""

    def __init__(
        self,
        meters: Mapping[str, Meter],
        positions: Positions,
        orders: OrderTable,
        calendar: Calendar,
    ) -> None:
        self._meters = meters
        self._positions = positions
        self._orders = orders
        self._calendar = calendar
        for session in calendar.sessions.values():
            for meter_id, most in session.forecasts.items():
                positions.forecast(meter_id, session.interval, most)

    def meter_of(self, party: str, meter_id: str, operator: str) -> Meter:
        """Raises Refused where it is neither the party's nor the operator's to say."""
        meter = self._meters.get(meter_id)
        if meter is None or party not in (meter.party, operator):
            raise Refused(MarketReason.METER_NOT_YOURS, f"party {party} has no meter {meter_id!r}")
        return meter

    def set(self, session: Session, meter: Meter, most: int, now_ns: int) -> None:
        """Raises Refused."""
        if not whole(most) or not 0 <= most <= MAX_WH:
            raise Refused(
                MarketReason.FORECAST_OUT_OF_RANGE,
                f"most_wh is {most}; it must lie between 0 and {MAX_WH}",
                "most_wh",
            )
        if session.phase is not Phase.OPEN:
            raise Refused(
                MarketReason.INTERVAL_CLOSED,
                f"the gate of the interval at {session.start_ns} has closed",
            )
        session.forecasts[meter.meter_id] = Wh(most)
        self._positions.forecast(meter.meter_id, session.interval, Wh(most))
        self._end_beyond(session, meter, now_ns)

    def _end_beyond(self, session: Session, meter: Meter, now_ns: int) -> None:
        """The newest offers first; once none is left, also what is sold and would be offered again if the network
        refused it.
        """
        most = self._positions.most(meter, session.interval, Side.SELL)
        newest = (self._orders[seq] for seq in reversed(session.seqs))
        offers = [row for row in newest if _is_offered(row, meter)]
        for row in sorted(offers, key=lambda row: not row.open_wh):
            position = self._positions.of(meter.meter_id, session.interval)
            if position.most_injected <= most:
                break
            self._calendar.end(row, MarketReason.FORECAST, now_ns)


def _is_offered(row: Row, meter: Meter) -> bool:
    """Or may be again."""
    order = row.order
    is_theirs = order.meter_id == meter.meter_id and order.side is Side.SELL
    return is_theirs and row.waits and not row.closed
