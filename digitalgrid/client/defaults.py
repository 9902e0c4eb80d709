"""What a client does where it is told nothing else."""

DEFAULT_SERVER = "127.0.0.1:50051"
# For a call with its retries (s): over an election (3 s) or a restart (1 s), and people still wait.
DEFAULT_TIMEOUT_S = 10.0
