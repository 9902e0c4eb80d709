"""Garbage collector: keeps Python's search for reference cycles from holding the loop up.

A collection of all generations looks through every object: with a hundred thousand circuits most of a second.
"""

import gc
from typing import TypeVar

E = TypeVar("E", bound=Exception)
# Objects made until generation 0 is collected. A circuit is some hundred objects without a cycle among them.
_THRESHOLD_0 = 50_000
# Collections of generation 0 until 1 is collected, and of generation 1 until 2 is.
_THRESHOLD_1, _THRESHOLD_2 = 20, 100
# Likewise of a router, in which a tick makes as many records as it has circuits, none in a cycle: a megabyte of garbage
# at most, and generation 2 by Python's own threshold for the other once in a hundred million objects.
_ROUTER_0, _SELDOM_2 = 10_000, 1000


def pause_while_loading() -> None:
    """Collect nothing until :func:`freeze_loaded`: of what modules make hardly anything is garbage, and looking for
    that takes a sixth of a daemon's start."""
    gc.disable()


def freeze_loaded() -> None:
    """Exempt all that is loaded, modules and kernels, which stay for good; collect the rest seldom."""
    if gc.isenabled():
        gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD_0, _THRESHOLD_1, _THRESHOLD_2)
    gc.enable()


def spare_old() -> None:
    """Exempt all that is loaded, and look through all of the rest seldom, but often enough that a process of which a
    machine has a hundred, as routers of an emulation, keeps no more than a megabyte of garbage.
    """
    gc.freeze()
    gc.set_threshold(_ROUTER_0, gc.get_threshold()[1], _SELDOM_2)


def without_frames(error: E) -> E:
    """For whoever keeps one that was raised. Its frames hold what keeps it, and so it holds itself: of a batch that is
    refused many thousand objects that only a collection finds, which then holds the loop up for 10 to 40 ms. Those
    that it was raised from, or while they were dealt with, let go of theirs too.
    """
    left: list[BaseException | None] = [error]
    while left:
        if (each := left.pop()) is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            left += [each.__cause__, each.__context__]
    return error


def freeze_term() -> None:
    """Exempt what was made while collection was paused: records of a store, which have no cycles."""
    gc.freeze()
