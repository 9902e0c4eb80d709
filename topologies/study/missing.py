"""Energy that loads were promised and did not get in a study, by load and cause, exact to the millijoule.

What a load asks for at a step is its promise. Energies are whole millijoules of one step, so that what is promised is
what is delivered and what is missing, to the last of them, by load and in all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from controller.routing.graph import Floats
from topologies.importers.profiles import SECONDS_PER_STEP, STEPS_PER_DAY

# Energy of one watt in a step.
_MJ_PER_W = SECONDS_PER_STEP * 1000.0


class Cause(StrEnum):
    """Why a load did not get what it was promised, as far as a study knows."""

    UNFED = "unfed"  # no line leads to it from the grid beyond
    SOURCES = "sources"  # all sources together had less left than was missing
    LINES = "lines"  # they had enough left, and lines were full


@dataclass(frozen=True, slots=True)
class Missing:
    """What one load, by its place among the grid's, lacked at one step."""

    load: int
    cause: Cause
    missing_mj: int


@dataclass(frozen=True, slots=True)
class Supply:
    """Energy of a load, or of several, over the steps that are compared."""

    promised_mj: int
    delivered_mj: int
    missing_mj: int
    unfed_mj: int
    sources_mj: int
    lines_mj: int


def missing_at(load_w: Floats, lacking_w: Floats, causes: Sequence[Cause]) -> tuple[Missing, ...]:
    """Of one step. ``causes[i]`` is what load i lacks for, if it lacks anything; never more than it asked for."""
    lacking_mj = np.minimum(energies_mj(lacking_w), energies_mj(load_w))
    return tuple(
        Missing(load, causes[load], int(lacking_mj[load]))
        for load in np.flatnonzero(lacking_mj > 0).tolist()
    )


def energies_mj(power_w: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.rint(power_w * _MJ_PER_W).astype(np.int64)


def to_text(missing: Iterable[Missing], load_ids: Sequence[str] | None = None) -> str:
    """As it stands in a table, with places or ids of loads: ``LOAD CAUSE MJ; ...``."""
    return "; ".join(
        f"{load_ids[each.load] if load_ids else each.load} {each.cause} {each.missing_mj}"
        for each in missing
    )


def from_text(text: str) -> tuple[Missing, ...]:
    """ValueError where it is none."""
    found = []
    for part in text.split("; ") if text else ():
        load, cause, missing_mj = part.split(" ")
        found.append(Missing(int(load), Cause(cause), int(missing_mj)))
    return tuple(found)


def supplies(load_w: Floats, missing: Iterable[Missing], every: int) -> list[Supply]:
    """By load. ``load_w[t]`` is asked at the steps that are compared, each of which stands for ``every``."""
    promised_mj = [0] * load_w.shape[1]
    # By the day: a year of a large network is more millijoules than 64 bits hold.
    for first in range(0, len(load_w), STEPS_PER_DAY):
        of_day = energies_mj(load_w[first : first + STEPS_PER_DAY]).sum(axis=0)
        promised_mj = [so_far + int(more) for so_far, more in zip(promised_mj, of_day, strict=True)]
    lacked_mj = [dict.fromkeys(Cause, 0) for _ in promised_mj]
    for each in missing:
        lacked_mj[each.load][each.cause] += each.missing_mj
    return [
        _supply(every * promised, {cause: every * mj for cause, mj in lacked.items()})
        for promised, lacked in zip(promised_mj, lacked_mj, strict=True)
    ]


def total(of_loads: Iterable[Supply]) -> Supply:
    promised_mj, lacked_mj = 0, dict.fromkeys(Cause, 0)
    for each in of_loads:
        promised_mj += each.promised_mj
        lacked_mj[Cause.UNFED] += each.unfed_mj
        lacked_mj[Cause.SOURCES] += each.sources_mj
        lacked_mj[Cause.LINES] += each.lines_mj
    return _supply(promised_mj, lacked_mj)


def _supply(promised_mj: int, lacked_mj: dict[Cause, int]) -> Supply:
    missing_mj = sum(lacked_mj.values())
    return Supply(
        promised_mj,
        promised_mj - missing_mj,
        missing_mj,
        lacked_mj[Cause.UNFED],
        lacked_mj[Cause.SOURCES],
        lacked_mj[Cause.LINES],
    )
