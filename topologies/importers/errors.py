"""What is wrong with a network or its name, in words for the person who asked for it."""

from digitalgrid.errors import ExplainedError


class NetworkError(ExplainedError, ValueError):
    """A network that cannot be found, read or turned into a grid."""

    exit_code = 2
