"""What became of a generation, as programming tells the rest of the core."""

from dataclasses import dataclass

from digitalgrid.model import CircuitGeneration


@dataclass(frozen=True, slots=True)
class Actuated:
    """The sink measures the power of this generation."""

    key: CircuitGeneration


@dataclass(frozen=True, slots=True)
class Starved:
    """The sink of a carrying generation measures less than it should."""

    key: CircuitGeneration


@dataclass(frozen=True, slots=True)
class Failed:
    """The generation was given up. ``router_id`` stood in its way, if anyone did; ``permanent``: and always will."""

    key: CircuitGeneration
    reason: str
    router_id: str = ""
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """No router holds anything of this generation any more."""

    key: CircuitGeneration


@dataclass(frozen=True, slots=True)
class Freed:
    """One more router has let go of this generation; what it held there may be promised to others."""

    key: CircuitGeneration


Outcome = Actuated | Starved | Failed | Freed | Gone
