"""Python's search for cycles of objects, which would hold the loop up for as long as there is much to look through."""

import gc

# Objects made until the young are looked through, and how many such looks until the older are. A circuit is some
# hundred objects without a cycle among them; looking through all of a hundred thousand circuits takes most of a second.
_YOUNG, _MIDDLE, _OLD = 50_000, 20, 100


def settle() -> None:
    """Once all is loaded: modules and kernels stay for good, and are not looked through any more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


def spare() -> None:
    """What was made while the search was paused has no cycles, and is not looked through when it goes on."""
    gc.freeze()
