"""Arrival: what one datagram of a neighbour brought."""

from typing import NamedTuple

from digitalgrid.model import CircuitGeneration


class Energy(NamedTuple):
    key: CircuitGeneration
    received_mj: int


class Arrival(NamedTuple):
    """What one datagram brought; a dropped one brought nothing."""

    energy: tuple[Energy, ...] = ()
    # Demands or grants of the neighbour are not what they were; a load may be in the dark until they are followed.
    restated: bool = False
    urgent: bool = False
    went_up: bool = False
    went_down: bool = False
    # The neighbour does not know yet that this end has heard it.
    owes_hello: bool = False
    # The neighbour's standing stream has gone on; what it brought is taken from the line when it is needed.
    stands: bool = False
    # Of that stream something was lost.
    lost: bool = False
    # This end's standing stream stands on nothing any more: the neighbour takes none of it.
    unfounded: bool = False


NOTHING = Arrival()
