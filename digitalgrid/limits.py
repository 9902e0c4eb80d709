"""What no device has: files and advertisements with more are slips or noise, and arithmetic on them could overflow."""

MAX_POWER_W = 1e12
MAX_VOLTAGE_V = 1e9
MAX_AMPACITY_A = 1e9
MAX_RESISTANCE_OHM = 1e9
# Of money per MWh, either way.
MAX_PRICE_PER_MWH = 1e12
MAX_CARBON_KG_PER_MWH = 1e9
