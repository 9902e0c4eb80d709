"""Limits of plausible figures: no device has more, and arithmetic on more could overflow."""

# 1 TW is a thousand large power stations; no line has more than 1.2 MV, or carries more than some kA.
MAX_POWER_W = 1e12
MAX_VOLTAGE_V = 1e9
MAX_AMPACITY_A = 1e9
MAX_RESISTANCE_OHM = 1e9
# Less than any device has, and enough that a quotient of two figures stays finite.
MIN_POWER_W = 1e-6
MIN_VOLTAGE_V = 1e-3
MIN_EFFICIENCY = 1e-6
# Links, sources and loads of one router, each. No device has more, and each takes the controller 40 us,
# in which it hears nobody else.
MAX_ADVERTISED = 512
# Of one link: ducts, masts, bays that it shares with others. A line of 100 km over 300 masts names them by stretches.
MAX_RISK_GROUPS = 256
# Of money per MWh, either way.
MAX_PRICE_PER_MWH = 1e12
MAX_CARBON_KG_PER_MWH = 1e9
# Of what one end of a power link states to the other, circuit by circuit; who says more is not listened to.
MAX_STATED_RECORDS = 65_536
# Meters on the wire, on disk and in the API are signed 64-bit integers: they stop here, and say that they are full.
MAX_INT64 = 2**63 - 1
