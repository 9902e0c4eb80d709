"""The transport model of power between converters.

A line's receiving end is held at nominal voltage U: ``P_recv = U*I`` and ``P_sent = U*I + R*I**2``. A router
converts all that passes it once, at a constant efficiency. Losses of a line are split among its circuits in the
order of their admission: each is charged what its own current adds to those before it.
"""

import math

from digitalgrid.limits import MAX_POWER_W

# Of what was asked for: a load that has so much has its power; rounding to whole millijoules takes less than the rest.
ACTUATED_FRACTION = 0.995
# Of a line's greatest power, a product of two figures that were rounded.
_ROUNDING = 1.0 + 1e-6


def current_a(received_w: float, voltage_v: float) -> float:
    """Current of a line that delivers ``received_w`` at its receiving end."""
    return received_w / voltage_v


def added_line_loss_w(
    resistance_ohm: float, current_before_a: float, added_current_a: float
) -> float:
    """Loss that a newcomer's current adds: ``R*((I+I0)**2 - I**2)``, without cancellation."""
    return resistance_ohm * added_current_a * (2.0 * current_before_a + added_current_a)


def sent_w(
    received_w: float, resistance_ohm: float, voltage_v: float, current_before_a: float
) -> float:
    """Power a circuit must put on a line so that ``received_w`` arrives."""
    added_a = received_w / voltage_v
    return received_w + added_line_loss_w(resistance_ohm, current_before_a, added_a)


def received_w(
    sent_w: float, resistance_ohm: float, voltage_v: float, current_before_a: float
) -> float:
    """Power that arrives of what a circuit puts on a line; the inverse of :func:`sent_w`.

    Solves ``R*i**2 + (U + 2*R*I)*i - P_sent = 0`` for the circuit's own current ``i``, in the form that stays
    exact for small R.
    """
    linear = voltage_v + 2.0 * resistance_ohm * current_before_a
    discriminant = linear * linear + 4.0 * resistance_ohm * sent_w
    return voltage_v * 2.0 * sent_w / (linear + math.sqrt(discriminant))


def line_fault(resistance_ohm: float, voltage_v: float, ampacity_a: float) -> str:
    """Why three figures, each possible by itself, make no line together; empty where they do."""
    most_w = voltage_v * ampacity_a
    if most_w > MAX_POWER_W * _ROUNDING:
        return f"{voltage_v:g} V and {ampacity_a:g} A would carry {most_w:g} W; {MAX_POWER_W:g} W is the most"
    lost_w = added_line_loss_w(resistance_ohm, 0.0, current_a(1.0, voltage_v))
    if lost_w > 1.0:
        return f"{resistance_ohm:g} ohm at {voltage_v:g} V would lose {lost_w:g} W to deliver the first 1 W"
    return ""
