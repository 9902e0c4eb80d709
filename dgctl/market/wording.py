"""Energy, prices, money and names of a market, as people read them: exactly as many digits as there are."""

from collections.abc import Callable

from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import MJ_PER_WH, format_unix_ns

# Whatever number comes: the stubs want only those that are known.
_TRANSACTION_STATE: Callable[..., str] = pb.TransactionState.Name
_INTERVAL_PHASE: Callable[..., str] = pb.IntervalPhase.Name
_SIDE: Callable[..., str] = pb.Side.Name
_STYLES = {
    pb.TRANSACTION_STATE_SETTLED: "green",
    pb.TRANSACTION_STATE_DELIVERING: "green",
    pb.TRANSACTION_STATE_PARTIAL: "yellow",
    pb.TRANSACTION_STATE_UNDELIVERED: "red",
    pb.TRANSACTION_STATE_DISPUTED: "red",
    pb.TRANSACTION_STATE_REJECTED: "red",
    pb.TRANSACTION_STATE_EXPIRED: "red",
    pb.TRANSACTION_STATE_CANCELLED: "dim",
}


def energy(wh: int) -> str:
    """``700 Wh``, ``1.5 kWh``."""
    if abs(wh) < 1_000:
        return f"{wh} Wh"
    return f"{_fixed(wh, 3)} kWh" if abs(wh) < 10**6 else f"{_fixed(wh, 6)} MWh"


def metered(millijoules: int) -> str:
    """``699.9 Wh`` of mJ, to a ten-thousandth of a Wh."""
    return energy_of_tenths(round(millijoules * 10_000 / MJ_PER_WH))


def energy_of_tenths(tenths: int) -> str:
    """Of ten-thousandths of a Wh."""
    if abs(tenths) < 10_000_000:
        return f"{_fixed(tenths, 4)} Wh"
    return f"{_fixed(tenths, 7)} kWh"


def price(micro_per_kwh: int) -> str:
    """``0.22``, of the currency per kWh."""
    return _fixed(micro_per_kwh, 6)


def money(nano: int) -> str:
    """``0.154``, of the currency."""
    return _fixed(nano, 9)


def share(part: int, whole: int) -> str:
    return f"{part / whole * 100:.2f} %" if whole else "-"


def _fixed(value: int, digits: int) -> str:
    """A decimal fraction without zeros at its end."""
    whole, rest = divmod(abs(value), 10**digits)
    decimals = f"{rest:0{digits}}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{f'.{decimals}' if decimals else ''}"


def _word(name: Callable[[int], str], value: int, prefix: str) -> str:
    """A constant in words; one of a later release, which has no name here, as its number."""
    try:
        return name(value).removeprefix(prefix).lower().replace("_", " ")
    except ValueError:
        return str(value)


def state(transaction: pb.Transaction) -> str:
    return _word(_TRANSACTION_STATE, transaction.state, "TRANSACTION_STATE_")


def state_style(transaction: pb.Transaction) -> str:
    return _STYLES.get(transaction.state, "")


def phase(interval: pb.MarketInterval) -> str:
    return _word(_INTERVAL_PHASE, interval.phase, "INTERVAL_PHASE_")


def side(side: int) -> str:
    return _word(_SIDE, side, "SIDE_")


def begins(interval: pb.Interval) -> str:
    return format_unix_ns(interval.start_unix_ns)
