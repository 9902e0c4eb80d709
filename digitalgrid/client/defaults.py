"""What a client does where it is told nothing else."""

DEFAULT_SERVER = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 10.0
