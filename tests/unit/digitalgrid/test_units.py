import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitalgrid.units import (
    NS_PER_MS,
    format_current,
    format_duration_ns,
    format_energy_mj,
    format_fraction,
    format_power,
    format_power_above,
    format_power_below,
    format_unix_ns,
    format_voltage,
    parse_power_w,
    parse_si,
    parse_unix_ns,
)


@pytest.mark.parametrize(
    ("text", "power_w"),
    [
        ("2MW", 2e6),
        ("350 kW", 350e3),
        ("2e6", 2e6),
        ("5 W", 5.0),
        ("1.2 GW", 1.2e9),
        (" .5kW ", 500.0),
        ("+3.W", 3.0),
        ("0", 0.0),
    ],
)
def test_power_as_people_write_it(text: str, power_w: float) -> None:
    assert parse_power_w(text) == pytest.approx(power_w, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5mW", "likely a slip; write MW"),
        ("5 mw", "write MW"),
        ("5KW", "write kW"),
        ("5 MVA", "write W, kW, MW or GW"),
        ("-3W", "negative"),
        ("1e999", "too large"),
        ("nan", "not understood"),
        ("inf", "not understood"),
        ("", "not understood"),
        ("MW", "not understood"),
        ("5 MW please", "not understood"),
        ("1_000", "not understood"),
        ("２MW", "not understood"),
        ("١MW", "not understood"),
    ],
)
def test_refuses_what_is_no_power(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_power_w(text)


@given(st.text())
def test_any_text_is_a_power_or_a_value_error(text: str) -> None:
    try:
        power_w = parse_power_w(text)
    except ValueError:
        return
    assert power_w >= 0 and math.isfinite(power_w)


@given(st.floats(min_value=1e-3, max_value=9.9e14))
def test_formatted_power_reads_back_within_its_digits(power_w: float) -> None:
    text = format_power(power_w)
    prefixes = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    number, unit = text.split(" ")
    assert float(number) * prefixes[unit.removesuffix("W")] == pytest.approx(power_w, rel=5.1e-4)
    assert 1 <= float(number) < 1000


@given(st.floats(min_value=1e-3, max_value=9.9e14))
def test_what_fits_is_never_read_as_more_and_what_is_missing_never_as_less(power_w: float) -> None:
    def read(text: str) -> float:
        return parse_si(text, "W")

    below_w, above_w = read(format_power_below(power_w)), read(format_power_above(power_w))
    # Sums of powers are off by so little, and are told as what they were meant to be.
    assert below_w <= power_w * (1 + 1e-7) and above_w >= power_w * (1 - 1e-7)
    assert above_w - below_w <= 1.001e-3 * power_w
    assert read(format_power(power_w)) in (pytest.approx(below_w), pytest.approx(above_w))


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("20kV", "V", 20e3), ("20 kV", "V", 20e3), ("300", "A", 300.0), ("1.5 MJ", "J", 1.5e6)],
)
def test_quantities_are_read_with_their_unit(text: str, unit: str, value: float) -> None:
    assert parse_si(text, unit) == value


@pytest.mark.parametrize("text", ["20kA", "k", "20 kV V", "", "20k"])
def test_quantities_of_another_unit_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not understood; write it like 2V or 2kV"):
        parse_si(text, "V")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("0", 0),
        ("2026-01-01", 1_767_225_600_000),
        ("20260101", 1_767_225_600_000),
        ("1767225600", 1_767_225_600_000),
        (" 2026-01-01T00:00Z ", 1_767_225_600_000),
        ("2026-01-01T01:00+01:00", 1_767_225_600_000),
        (format_unix_ns(1_767_225_600_125 * NS_PER_MS), 1_767_225_600_125),
        ("1969-12-31T23:59:59.5", -500),
    ],
)
def test_times_are_read_as_people_write_them_and_as_they_are_shown(
    text: str, milliseconds: int
) -> None:
    assert parse_unix_ns(text) == milliseconds * NS_PER_MS


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "1767225600000000000", "inf", "-1"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time; write it like 2026-11-29T13:05Z"):
        parse_unix_ns(text)


@pytest.mark.parametrize(
    ("formatted", "text"),
    [
        (format_power(2e6), "2 MW"),
        (format_power(999.96), "1 kW"),
        (format_power_below(1_134_912.38), "1.134 MW"),
        (format_power_above(1_134_912.38), "1.135 MW"),
        (format_power_below(6_999_999.9999), "7 MW"),
        (format_power_below(6_999_999.0), "6.999 MW"),
        (format_power_below(0), "0 W"),
        (format_power(-5e3), "-5 kW"),
        (format_power(0), "0 W"),
        (format_power(math.inf), "inf W"),
        (format_voltage(20e3), "20 kV"),
        (format_current(123.456), "123.5 A"),
        (format_energy_mj(1_500_000_000), "1.5 MJ"),
        (format_energy_mj(1), "1 mJ"),
        (format_fraction(0.0325), "3.25 %"),
        (format_duration_ns(0), "0 ns"),
        (format_duration_ns(1_500), "1.5 µs"),
        (format_duration_ns(8_200_000), "8.2 ms"),
        (format_duration_ns(-8_200_000), "-8.2 ms"),
        (format_duration_ns(1_500_000_000), "1.5 s"),
        (format_duration_ns(125_000_000_000), "2 min 5 s"),
        (format_duration_ns(3_720_000_000_000), "1 h 2 min"),
    ],
)
def test_quantities_as_people_read_them(formatted: str, text: str) -> None:
    assert formatted == text
