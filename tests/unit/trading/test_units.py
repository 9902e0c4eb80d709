"""Units: whole numbers, exact products, and nobody who mixes them."""

from fractions import Fraction

import numpy as np
import pytest

from digitalgrid.limits import MAX_INT64
from trading.core.units import (
    MAX_PRICE,
    MAX_WH,
    MicroPerKwh,
    Millijoule,
    Nano,
    Wh,
    amount,
    due,
    millijoules,
    power_w,
    wh_below,
    whole,
)


def test_mypy_refuses_floats_and_mixed_units() -> None:
    """Each of these is an error of types; `make lint` fails where one no longer is."""
    energy, price = Wh(2), MicroPerKwh(300_000)
    assert amount(price, energy) == 600_000  # type: ignore[arg-type]
    assert amount(2.0, price) == 600_000  # type: ignore[arg-type]
    assert due(energy, price) == 0  # type: ignore[arg-type]
    assert millijoules(amount(energy, price)) > 0  # type: ignore[arg-type]
    sum_: Wh = energy + price  # type: ignore[assignment]
    money: Nano = 0.5  # type: ignore[assignment]
    assert sum_ and money


@pytest.mark.parametrize("value", [1.0, float("nan"), True, "1", None, np.int64(1), Fraction(1)])
def test_at_borders_only_integers_are_whole(value: object) -> None:
    assert not whole(value)
    assert whole(1) and whole(-1) and whole(2**80)


def test_a_contract_costs_exactly_its_energy_times_its_price() -> None:
    # 0.7 kWh at 0.22 is 0.154 of the currency.
    assert amount(Wh(700), MicroPerKwh(220_000)) == 154_000_000
    assert amount(Wh(1), MicroPerKwh(-1)) == -1
    assert amount(MAX_WH, MAX_PRICE) <= MAX_INT64


@pytest.mark.parametrize("sign", [1, -1])
def test_parts_of_a_metered_contract_add_up_and_never_come_to_more(sign: int) -> None:
    drawn = np.random.default_rng(0)
    for _ in range(200):
        energy, price = Wh(int(drawn.integers(1, 5000))), int(drawn.integers(0, MAX_PRICE))
        signed = MicroPerKwh(sign * price)
        cuts = sorted(drawn.integers(0, millijoules(energy), 40).tolist())
        posted = 0
        for register in (*cuts, millijoules(energy)):
            owed = due(Millijoule(register), signed)
            assert 0 <= sign * Fraction(register * sign * price, 3_600_000) - abs(owed) < 1
            posted += owed - posted
        assert posted == amount(energy, signed)


def test_energy_becomes_power_and_comes_back_whole() -> None:
    for wh in (1, 7, 700, 123_456_789, MAX_WH):
        for length_ns in (10_000_000_000, 900_000_000_000):
            assert wh_below(power_w(Wh(wh), length_ns), length_ns) == wh
    assert wh_below(1999.0, 3_600_000_000_000) == 1999
    assert wh_below(1999.9, 3_600_000_000_000) == 1999
