"""What only the garbage collector finds of something that was done."""

import gc
from collections.abc import Callable


def left_by(work: Callable[[], object]) -> int:
    """How many objects that hold each other it leaves, once what it returns is let go of. The second time counts: of
    the first are caches.
    """
    work()
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        gc.collect()
        work()
        return gc.collect()
    finally:
        if is_collecting:
            gc.enable()
