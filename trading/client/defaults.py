"""What a client of a market does where it is told nothing else."""

DEFAULT_MARKET = "127.0.0.1:50090"
# As a client of the controller waits.
DEFAULT_TIMEOUT_S = 10.0
