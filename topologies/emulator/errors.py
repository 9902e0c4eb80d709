"""What can go wrong for reasons that the person who runs an emulation can do something about."""

from digitalgrid.errors import ExplainedError


class EmulationError(ExplainedError, RuntimeError):
    """The message says what, where, and what to do."""


class CommandError(EmulationError):
    """A system program failed."""


class BadCommand(EmulationError):
    """A command that no emulation would obey."""

    exit_code = 2


class SpawnError(EmulationError):
    """An agent could not be started, signalled or found."""


class AlreadyRunning(EmulationError):
    """Another emulation holds what this one needs."""


class UnknownId(EmulationError):
    """The grid has no such router or link."""


class Unhealthy(EmulationError, TimeoutError):
    """The network runs, but not as it should."""
