"""Units of markets: whole Wh, mJ, micro-currency per kWh and nano-currency, and no float anywhere.

Each is a type of its own, so that mypy refuses a float and one unit for another; at a border, where values come from
outside, :func:`whole` looks at what mypy does not see. Money is counted in nanos because a Wh at a whole price is then
a whole amount: 1 Wh at 1 micro per kWh is a thousandth of a micro.
"""

from typing import NewType

from digitalgrid.limits import MAX_INT64
from digitalgrid.units import MJ_PER_WH as MJ_PER_WH
from digitalgrid.units import NS_PER_HOUR

# Contracts: energy at the delivery point.
Wh = NewType("Wh", int)
# Meters: energy as routers count it.
Millijoule = NewType("Millijoule", int)
# Prices: millionths of the currency per kWh; 0.30 per kWh is 300,000.
MicroPerKwh = NewType("MicroPerKwh", int)
# Money: thousand-millionths of the currency.
Nano = NewType("Nano", int)

# Of money per kWh, either way: thirty times what the dearest hour of an exchange cost.
MAX_PRICE = MicroPerKwh(9_000_000)
# Of one order: 1 TWh. At the greatest price it is 9e18 nanos, which a signed 64-bit integer still holds.
MAX_WH = Wh(1_000_000_000_000)
assert MAX_WH * MAX_PRICE <= MAX_INT64


def whole(value: object) -> bool:
    """Whether a value from outside is an integer; True and 1.0 are none."""
    return type(value) is int


def amount(energy: Wh, price: MicroPerKwh) -> Nano:
    """What a contract costs, exactly; below 0 where the price is."""
    return Nano(energy * price)


def due(energy: Millijoule, price: MicroPerKwh) -> Nano:
    """What metered energy costs, rounded towards nothing: whoever pays never pays more than it exactly is.

    Of a cumulative register: what is posted is the difference to what was posted before, so that parts add up.
    """
    paid = energy * abs(price) // MJ_PER_WH
    return Nano(paid if price >= 0 else -paid)


def millijoules(energy: Wh) -> Millijoule:
    return Millijoule(energy * MJ_PER_WH)


def power_w(energy: Wh, length_ns: int) -> float:
    """The constant power that is so much energy in an interval; what circuits are asked for with."""
    return energy * NS_PER_HOUR / length_ns


def wh_below(watts: float, length_ns: int) -> Wh:
    """Whole Wh of a constant power over an interval, rounded down but for what is a whole one to the last digits."""
    energy = watts * length_ns / NS_PER_HOUR
    nearest = round(energy)
    return Wh(nearest if abs(energy - nearest) <= AS_GOOD_AS * max(1.0, energy) else int(energy))


# Share of an energy that sums of floats may be off by.
AS_GOOD_AS = 1e-9
