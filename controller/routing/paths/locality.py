"""Cache locality: an order of routers in which neighbours have near numbers, so that searches touch memory together."""

import numpy as np
import numpy.typing as npt

from controller.routing.graph import Ints

# Fewer lie together however they are numbered.
_FEWEST_NODES = 100


def near_numbers(node_count: int, a: npt.ArrayLike, b: npt.ArrayLike) -> Ints:
    """``old[new]``: the routers in the order in which they should be numbered, by reverse Cuthill-McKee (1969).

    ``a`` and ``b`` are the routers at the ends of each link. Whoever makes a graph numbers its routers so first.
    """
    ends = np.array(a, dtype=np.int32), np.array(b, dtype=np.int32)
    if not len(ends[0]) or node_count < _FEWEST_NODES:
        return np.arange(node_count, dtype=np.int32)
    # Loaded when it is needed: a controller that starts has no time for it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    links = coo_array((np.ones(len(ends[0])), ends), shape=(node_count, node_count)).tocsr()
    return np.asarray(reverse_cuthill_mckee(links, symmetric_mode=False), dtype=np.int32)
