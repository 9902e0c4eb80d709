"""Forecasts: a source is not expected to give all that its power allows, so its meter sells no more."""

from collections.abc import Mapping

from trading.core.orders import Meter
from trading.core.positions import Positions
from trading.core.units import MAX_WH, Wh, whole
from trading.market.phases import Phase
from trading.market.sessions import Session
from trading.reasons import MarketReason, Refused


class Forecasts:
    """Of intervals that take tenders; kept with them. What was sold before stays sold."""

    def __init__(
        self, meters: Mapping[str, Meter], positions: Positions, sessions: Mapping[int, Session]
    ) -> None:
        self._meters = meters
        self._positions = positions
        for session in sessions.values():
            for meter_id, most in session.forecasts.items():
                positions.forecast(meter_id, session.interval, most)

    def meter_of(self, party: str, meter_id: str, operator: str) -> Meter:
        """Raises Refused where it is neither the party's nor the operator's to say."""
        meter = self._meters.get(meter_id)
        if meter is None or party not in (meter.party, operator):
            raise Refused(MarketReason.METER_NOT_YOURS, f"party {party} has no meter {meter_id!r}")
        return meter

    def set(self, session: Session, meter_id: str, most: int) -> None:
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
        session.forecasts[meter_id] = Wh(most)
        self._positions.forecast(meter_id, session.interval, Wh(most))
