"""What is wrong with a network or its name, in words for the person who asked for it."""


class NetworkError(ValueError):
    """A network that cannot be found, read or turned into a grid."""
