"""A hierarchy of routers for searches at one fixed power, whose costs add up.

At the power that was asked for, the cost of an arc is the logarithm of its growth, and no more than that at no power
beside the loads that stand: ``ln((1 + 2 R I / U) / eta)``. As shortcuts these weights have the factor 1 and this
addend, so that distances are exact in them, and obey the triangle inequality.
"""

import numpy as np

from controller.routing.paths.hierarchy import Hierarchy, shortcuts_of


class AdditiveHierarchy:
    """Bounds for the logarithm of growth, at any power, true as long as those of the hierarchy that it is made from.

    What that is customised for afterwards changes nothing here.
    """

    def __init__(self, hierarchy: Hierarchy) -> None:
        addend = np.log(hierarchy.growth_at_no_power())
        weight = np.stack([np.ones_like(addend), addend], axis=1)
        self.rows = hierarchy.rows
        self.up, self.down = shortcuts_of(self.rows, hierarchy.graph, weight)
