"""Curtailment of a circuit as a value: by what, since when, and how much is left."""

import msgspec

from digitalgrid.units import format_power


class Curtailed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A circuit gets less than was asked for, by a decision: since when, how much is left, and what leaves no more."""

    by: str
    since_unix_ns: int
    asked_w: float
    granted_w: float

    def __str__(self) -> str:
        return f"curtailed by {self.by}: {format_power(self.granted_w)} of {format_power(self.asked_w)}"


def by_source(source_id: str) -> str:
    """What a source that gives less is called among those that curtail."""
    return f"source {source_id}"
