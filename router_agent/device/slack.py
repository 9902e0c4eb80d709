"""Slack: by how much rates that are the same may differ."""

# Rates travel as whole milliwatts, each hop rounding once: so much is no shortage.
RATE_SLACK_W = 0.010
# Of a rate: sums and products of floats that two programs computed.
RELATIVE_SLACK = 1e-9


def covers(granted_w: float, needed_w: float) -> bool:
    return granted_w >= needed_w * (1.0 - RELATIVE_SLACK) - RATE_SLACK_W
