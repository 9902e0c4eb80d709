"""Device profiles: limits and abilities of a kind of router, as grid files declare them and routers advertise them."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal

from digitalgrid.bounds import ID_PATTERN, InvalidValue, bounds, check
from digitalgrid.limits import MAX_ADVERTISED, MAX_POWER_W, MAX_VOLTAGE_V, MIN_EFFICIENCY

# Points of an efficiency curve: data sheets have ten.
MAX_CURVE_POINTS = 64
# Of a share or an efficiency: what is nearer is equal.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What is not given is not limited.

    ``max_through_w`` is the most that may enter the converter, for all circuits together, whether from lines or from
    the cell's sources. ``max_ports`` counts lines, whose voltage must lie in the range of the ports.
    ``efficiency_curve`` has pairs of what enters, as a share of ``max_through_w``, and the efficiency there; it is
    linear between them and level beyond. Energy is converted, and so billed, along the curve; admission reserves by
    the router's ``efficiency``, which must not be above it anywhere.

    Without ``packets`` a router carries no circuit that asks for power packets. Without an address (``addressing``) it
    can be passed, but no circuit begins or ends there. One that is left to its ``agents`` takes no circuits at all.
    """

    id: str = field(metadata=bounds(pattern=ID_PATTERN))
    max_through_w: float | None = field(
        default=None, metadata=bounds(exclusive_minimum=0, maximum=MAX_POWER_W)
    )
    max_ports: int | None = field(default=None, metadata=bounds(minimum=1, maximum=MAX_ADVERTISED))
    min_voltage_v: float | None = field(
        default=None, metadata=bounds(minimum=0, maximum=MAX_VOLTAGE_V)
    )
    max_voltage_v: float | None = field(
        default=None, metadata=bounds(exclusive_minimum=0, maximum=MAX_VOLTAGE_V)
    )
    efficiency_curve: tuple[tuple[float, ...], ...] = ()
    packets: bool = True
    addressing: Literal["ip", "none"] = "ip"
    autonomy: Literal["controller", "agents"] = "controller"

    def __post_init__(self) -> None:
        check(self, self._problems())

    @property
    def is_limited(self) -> bool:
        """Whether it differs in anything from a router of which nothing is said."""
        return self != DeviceProfile(self.id)

    @property
    def least_efficiency(self) -> float:
        """What every part of a curve is at least; 1 without one."""
        return min((efficiency for _, efficiency in self.efficiency_curve), default=1.0)

    def efficiency_at(self, entering_w: float, otherwise: float) -> float:
        """The efficiency while so much enters; ``otherwise`` where the profile has no curve."""
        if not self.efficiency_curve or self.max_through_w is None:
            return otherwise
        return _interpolated(self.efficiency_curve, entering_w / self.max_through_w)

    def to_plain(self) -> dict[str, Any]:
        """As it stands in a file."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["efficiency_curve"] = [list(point) for point in self.efficiency_curve]
        return {name: value for name, value in values.items() if value not in (None, [])}

    def line_problem(self, number: int, voltage_v: float) -> tuple[str, str] | None:
        """What is wrong with the line that is the ``number``-th (from 0) of such a router: the key, and the message."""
        if self.max_ports is not None and number >= self.max_ports:
            return "", f"has no port left there: profile {self.id!r} has {self.max_ports}"
        low_v, high_v = self.min_voltage_v or 0.0, self.max_voltage_v or MAX_VOLTAGE_V
        if not low_v <= voltage_v <= high_v:
            message = (
                f"is {voltage_v:g}; ports of profile {self.id!r} take {low_v:g} V to {high_v:g} V"
            )
            return "voltage_v", message
        return None

    def efficiency_problem(self, efficiency: float) -> str | None:
        """Why admission could not reserve by this efficiency."""
        if efficiency > self.least_efficiency + _ROUNDING:
            return (
                f"is {efficiency:g}, and the curve of profile {self.id!r} falls to {self.least_efficiency:g};"
                " circuits are admitted by a constant that the curve is never below"
            )
        return None

    def _problems(self) -> Iterator[InvalidValue]:
        low_v, high_v = self.min_voltage_v, self.max_voltage_v
        if low_v is not None and high_v is not None and low_v > high_v:
            yield InvalidValue("min_voltage_v", message=f"is {low_v:g}, above max_voltage_v")
        if self.addressing == "none" and self.packets:
            message = "is true, but packets are forwarded by addresses; say `packets: false`"
            yield InvalidValue("packets", message=message)
        yield from self._curve_problems()

    def _curve_problems(self) -> Iterator[InvalidValue]:
        curve = self.efficiency_curve
        if curve and self.max_through_w is None:
            message = "needs max_through_w, of which its shares are parts"
            yield InvalidValue("efficiency_curve", message=message)
        if len(curve) > MAX_CURVE_POINTS:
            message = f"has {len(curve)} points; {MAX_CURVE_POINTS} are the most"
            yield InvalidValue("efficiency_curve", message=message)
        before = -1.0
        for index, point in enumerate(curve):
            is_point = (
                len(point) == 2
                and before < point[0]
                and 0.0 <= point[0] <= 1.0
                and MIN_EFFICIENCY <= point[1] <= 1.0
            )
            if not is_point:
                message = (
                    "must be [share, efficiency], both at most 1, shares rising from point to point"
                )
                yield InvalidValue("efficiency_curve", index, message=message)
                return
            before = point[0]
        for index, ((left, low), (right, high)) in enumerate(pairwise(curve), 1):
            slope = (high - low) / (right - left)
            if min(low + slope * left, high + slope * right) <= 0.0:
                message = "falls so steeply that less leaves where more enters"
                yield InvalidValue("efficiency_curve", index, message=message)


def _interpolated(curve: Sequence[tuple[float, ...]], share: float) -> float:
    place = bisect_left([point[0] for point in curve], share)
    if place == 0 or place == len(curve):
        return curve[min(place, len(curve) - 1)][1]
    (left, low), (right, high) = curve[place - 1], curve[place]
    return low + (high - low) * (share - left) / (right - left)


# Of the digital grid: nothing is limited, packets are forwarded, the controller decides.
DGR = DeviceProfile("dgr")
BUILT_IN = {
    profile.id: profile
    for profile in (
        DGR,
        # Of distribution networks (36 kV is their highest voltage in IEC 60038), without addresses: agents decide.
        DeviceProfile(
            "mas-router", max_voltage_v=36e3, packets=False, addressing="none", autonomy="agents"
        ),
        # Sets the flows of branches of an AC network; it has no cell of its own.
        DeviceProfile("pfr", packets=False, addressing="none"),
        # Behind a house connection: 230 V, 63 A, of a type that feeds 14.5 kVA.
        DeviceProfile("single-phase", max_through_w=14.5e3, max_voltage_v=400.0),
    )
}
