"""A line, transformer or the like on its way into a grid, in the convention of grid files."""

import math
from dataclasses import dataclass

from digitalgrid.limits import MAX_AMPACITY_A
from digitalgrid.places import Place
from topologies.importers.reading import Reading, Row

SQRT_3 = math.sqrt(3.0)
_PHASES = 3.0


@dataclass(frozen=True, slots=True)
class Branch:
    """``name`` is wanted as id, ``otherwise`` where it cannot be; ``a`` and ``b`` are router ids.

    Resistance and reactance are three times those of a phase, the voltage is sqrt(3) times that between lines, and
    the current is that of a phase (all its parallel systems together): then U*I is the power and R*I**2 the loss of
    all three phases. ``ampacity_a`` is infinite where the network does not know it.
    """

    name: object
    otherwise: str
    a: str
    b: str
    resistance_ohm: float
    reactance_ohm: float
    voltage_v: float
    ampacity_a: float
    # Its corners on a map, from a to b.
    via: tuple[Place, ...] = ()


def three_phase(
    reading: Reading,
    name: object,
    otherwise: str,
    ends: tuple[str, str],
    phase_ohm: tuple[float, float],
    line_to_line_kv: float,
    ampacity_ka: float,
) -> Branch:
    """A branch from the resistance and reactance of one phase; a negative resistance is noted and taken as none."""
    resistance_ohm, reactance_ohm = phase_ohm
    if resistance_ohm < 0.0:
        reading.negative_resistance_ohm[otherwise] = resistance_ohm
    return Branch(
        name=name,
        otherwise=otherwise,
        a=ends[0],
        b=ends[1],
        resistance_ohm=_PHASES * max(resistance_ohm, 0.0),
        reactance_ohm=_PHASES * reactance_ohm,
        voltage_v=SQRT_3 * line_to_line_kv * 1e3,
        ampacity_a=usable_ampacity_a(ampacity_ka),
    )


def usable_ampacity_a(ampacity_ka: float) -> float:
    """Infinite for what is not positive or beyond any device: networks write 0 and 99999 kA for "not known"."""
    ampacity_a = ampacity_ka * 1e3
    return ampacity_a if 0.0 < ampacity_a < min(MAX_AMPACITY_A, 1e7) else math.inf


def joined_routers(
    reading: Reading, row: Row, buses: tuple[int, int], is_noted: bool = True
) -> tuple[str, str] | None:
    """The routers at an element's two ends; None, with a note, where it joins no two of them."""
    a, b = (reading.router_of.get(bus) for bus in buses)
    if a is not None and b is not None and a != b:
        return a, b
    if is_noted and buses[0] == buses[1]:
        row.note(f"left out, both its ends are at bus {buses[0]}")
    elif is_noted and a == b and a is not None:
        row.note("left out, closed switches join its two ends")
    elif is_noted:
        row.note("left out, an end is out of service")
    return None
