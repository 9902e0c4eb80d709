"""Moves of meters, to this market's log and away: what the log is about to say, the market keeps to meanwhile."""

from collections.abc import Mapping

from trading.core.orders import Meter
from trading.core.positions import Positions
from trading.core.tenders import Registered
from trading.reasons import MarketReason, Refused


class Moves:
    """From the question whether a meter may move until the log's answer is durable, nothing of it is tendered. Nothing
    is journalled of that: who is killed meanwhile finds in the log what has become of it.
    """

    def __init__(self, meters: Mapping[str, Meter], positions: Positions) -> None:
        self._by_key = {each.public_key: each for each in meters.values() if each.public_key}
        self._positions = positions
        # Of all meters, by intervals: what was agreed before this start may be of a key that is no meter's any more.
        self._agreed_until_ns = positions.last_end_ns()
        self._under_way: set[bytes] = set()

    def meter(self, public_key: bytes) -> Meter:
        """Raises Refused where none has this key."""
        meter = self._by_key.get(public_key)
        if meter is None:
            raise Refused(
                MarketReason.METER_HAS_NO_KEY, f"no meter here has the key {public_key.hex()}"
            )
        return meter

    def begin(self, public_key: bytes, now_ns: int, *, leaves: bool) -> None:
        """Raises Refused where a meter that leaves has anything that is not over. One that the market has no more may
        leave.
        """
        if leaves and public_key not in self._by_key:
            self._check_over(now_ns)
            return
        meter = self.meter(public_key)
        busy = self._positions.busy(meter.meter_id, now_ns) if leaves else None
        if busy is not None:
            interval, position = busy
            raise Refused(
                MarketReason.METER_BUSY,
                f"meter {meter.meter_id} has {position.sold + position.open_sold} Wh to sell and"
                f" {position.bought + position.open_bought} Wh to buy in the interval at {interval.start_ns},"
                f" which is over at {interval.end_ns}",
            )
        self._under_way.add(public_key)

    def _check_over(self, now_ns: int) -> None:
        if now_ns < self._agreed_until_ns:
            raise Refused(
                MarketReason.METER_BUSY,
                "the market's file has no meter by this key any more, and what was agreed before that is over at"
                f" {self._agreed_until_ns}",
            )

    def end(self, public_key: bytes) -> None:
        """The log has said, durably, or has refused to."""
        self._under_way.discard(public_key)

    def settled(self, registered: Registered) -> Registered:
        """What the log says, of meters that do not move just now."""
        return lambda key: None if key in self._under_way else registered(key)
