"""What became of a generation, as programming tells the rest of the core."""

import msgspec

from controller.core.circuits.generation import Generation
from digitalgrid.model import CircuitGeneration


class Actuated(msgspec.Struct, frozen=True, gc=False):
    """The sink measures the power of this generation."""

    key: CircuitGeneration


class Starved(msgspec.Struct, frozen=True, gc=False):
    """The sink of a carrying generation measures less than it should."""

    key: CircuitGeneration


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The generation was given up. ``router_id`` stood in its way, if anyone did; ``permanent``: and always will.

    ``standby``: it carried nothing.
    """

    key: CircuitGeneration
    reason: str
    router_id: str = ""
    permanent: bool = False
    standby: bool = False


class Gone(msgspec.Struct, frozen=True, gc=False):
    """No router holds anything of this generation any more. ``withdrawn``: itself, where routers may have held it
    beyond its lease, so that power may have gone by it.
    """

    key: CircuitGeneration
    withdrawn: Generation | None = None


class Freed(msgspec.Struct, frozen=True, gc=False):
    """One more router has let go of this generation; what it held there may be promised to others."""

    key: CircuitGeneration


class StandsBy(msgspec.Struct, frozen=True, gc=False):
    """A standby is committed on every hop."""

    key: CircuitGeneration


class Promoted(msgspec.Struct, frozen=True, gc=False):
    """That this standby is the working generation now is durable, and routers were told."""

    key: CircuitGeneration


class RunsAsWorking(msgspec.Struct, frozen=True, gc=False):
    """A router runs as working what is known here as a standby: another leader has promoted it."""

    key: CircuitGeneration


Outcome = Actuated | Starved | Failed | Freed | Gone | StandsBy | Promoted | RunsAsWorking
