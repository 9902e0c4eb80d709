"""Unit factors, and quantities as people write and read them; everywhere else they are plain SI numbers."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MS_PER_S = 1000
# Meters count millijoules and rates on the wire are milliwatts, both whole numbers.
MILLIJOULES_PER_J = 1000
MILLIWATTS_PER_W = 1000
MICROWATTS_PER_W = 1_000_000
NANOWATTS_PER_W = 1_000_000_000
# Prices of the network are per MWh; markets count Wh.
W_PER_MEGAWATT = 1e6
MJ_PER_WH = 3_600_000
NS_PER_HOUR = 3600 * NS_PER_S
PPM = 1_000_000

_QUANTITY = re.compile(
    r"\s*(?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"\s*(?P<unit>[A-Za-zµ]*)\s*"
)
_POWER_UNITS_W = {"": 1.0, "W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9}

_FRACTION = re.compile(
    r"(?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(?P<percent>%?)"
)
# A date without dashes has eight digits.
_SECONDS = re.compile(r"0|[0-9]{9,11}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION_UNITS_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}

# Of the last of four digits.
_AS_GOOD_AS = 1e-5
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"))


def parse_power_w(text: str) -> float:
    """Watts of ``2MW``, ``350 kW``, ``5 W``, ``1.2 GW`` or ``2e6``.

    Raises ValueError for anything else, for negative and not finite power, and for milliwatts, which are nearly
    always a slip for megawatts.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"power {text!r} is not understood; write it like 2MW, 350 kW or 2e6")
    unit = match["unit"]
    if unit not in _POWER_UNITS_W:
        raise ValueError(f"power {text!r}: {_unit_advice(unit)}")
    power_w = float(match["number"]) * _POWER_UNITS_W[unit]
    if power_w < 0:
        raise ValueError(
            f"power {text!r} is negative; power flows towards the sink, write it positive"
        )
    if not math.isfinite(power_w):
        raise ValueError(f"power {text!r} is too large to be meant")
    return power_w


def _unit_advice(unit: str) -> str:
    if unit == "mW":
        return "mW is milliwatt, which is likely a slip; write MW for megawatt, or plain watts"
    meant = [known for known in _POWER_UNITS_W if known.lower() == unit.lower()]
    if meant:
        return f"unknown unit {unit!r}; write {meant[0]}"
    return f"unknown unit {unit!r}; write W, kW, MW or GW"


def parse_duration_s(text: str) -> float:
    """Seconds of ``30s``, ``500 ms``, ``2min`` or ``1h``; ValueError for anything else, and for no time at all."""
    match = _QUANTITY.fullmatch(text)
    scale_s = _DURATION_UNITS_S.get(match["unit"]) if match else None
    duration_s = float(match["number"]) * scale_s if match and scale_s else 0.0
    if not 0.0 < duration_s < math.inf:
        raise ValueError(f"time {text!r} is not understood; write it like 30s, 2min or 1h")
    return duration_s


def parse_fraction(text: str) -> float:
    """0.05 of ``0.05`` or ``5%``; ValueError for anything else."""
    match = _FRACTION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a fraction; write it like 0.05 or 5%")
    return float(match["number"]) / (100 if match["percent"] else 1)


def parse_si(text: str, unit: str) -> float:
    """``20 kV`` or ``20e3``, of volts; ValueError for anything else."""
    match = _QUANTITY.fullmatch(text)
    scales = {prefix: scale for scale, prefix in _PREFIXES}
    prefix = match["unit"].removesuffix(unit) if match else ""
    if match is None or prefix not in scales or match["unit"] not in ("", prefix + unit):
        raise ValueError(f"{text!r} is not understood; write it like 2{unit} or 2k{unit}")
    return float(match["number"]) * scales[prefix]


def format_power(power_w: float) -> str:
    """``2 MW``, ``350 kW``: four significant digits."""
    return format_si(power_w, "W")


def format_power_below(power_w: float) -> str:
    """Likewise, but never more than it is: who asks for as much as he reads gets it."""
    return format_power(_four_digits(power_w, math.floor))


def format_power_above(power_w: float) -> str:
    """Likewise, but never less than it is: who gives up as much as he reads gives up enough."""
    return format_power(_four_digits(power_w, math.ceil))


def format_voltage(voltage_v: float) -> str:
    return format_si(voltage_v, "V")


def format_current(current_a: float) -> str:
    return format_si(current_a, "A")


def format_energy_mj(energy_mj: int) -> str:
    """``1.5 MJ`` of 1,500,000,000 mJ (millijoule)."""
    return format_si(energy_mj / MILLIJOULES_PER_J, "J")


def format_fraction(fraction: float) -> str:
    """``3.25 %`` of 0.0325."""
    return f"{fraction * 100:.2f} %"


def format_duration_ns(duration_ns: int) -> str:
    """``8.2 ms``, ``1.5 s``, ``2 min 5 s``, ``1 h 2 min``."""
    if duration_ns < 0:
        return "-" + format_duration_ns(-duration_ns)
    for size_ns, unit in ((1_000, "ns"), (NS_PER_MS, "µs"), (NS_PER_S, "ms")):
        if duration_ns < size_ns:
            return f"{_digits(duration_ns / (size_ns / 1_000))} {unit}"
    if duration_ns < 60 * NS_PER_S:
        return f"{_digits(duration_ns / NS_PER_S)} s"
    minutes, seconds = divmod(round(duration_ns / NS_PER_S), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def format_unix_ns(at_unix_ns: int) -> str:
    """``2026-11-29 13:05:07.125 UTC`` of nanoseconds since 1970."""
    moment = datetime.fromtimestamp(at_unix_ns // NS_PER_S, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at_unix_ns // NS_PER_MS % 1000:03} UTC"


def parse_unix_ns(text: str) -> int:
    """Nanoseconds since 1970 of ``2026-11-29``, ``2026-11-29T13:05``, what :func:`format_unix_ns` writes, or seconds
    since 1970; UTC where no zone is said. ValueError for anything else.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return int(text) * NS_PER_S
    try:
        moment = datetime.fromisoformat(text.removesuffix("UTC").rstrip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; write it like 2026-11-29T13:05Z, or in seconds since 1970"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * NS_PER_US


def format_si(value: float, unit: str) -> str:
    """A value with an SI prefix and four significant digits; below a thousandth, in thousandths."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    # Compared as printed, so that 999.96 becomes 1 k and not 1000.
    fitting = (p for p in _PREFIXES if abs(float(_digits(value / p[0]))) >= 1)
    scale, prefix = next(fitting, _PREFIXES[-1])
    return f"{_digits(value / scale)} {prefix}{unit}"


def _four_digits(value: float, whole: Callable[[float], int]) -> float:
    """Rounded in one direction, but for what is as good as there: sums of powers are off by as little."""
    if not 0.0 < value < math.inf:
        return value
    step: float = 10.0 ** (math.floor(math.log10(value)) - 3)
    nearest = round(value / step)
    return (nearest if abs(value / step - nearest) < _AS_GOOD_AS else whole(value / step)) * step


def _digits(value: float) -> str:
    return f"{float(f'{value:.4g}'):.12g}"
