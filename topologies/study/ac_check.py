"""What the AC power flow of pandapower says of the network as operated, at some steps: a check of our losses."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from digitalgrid.units import W_PER_MEGAWATT
from topologies.importers.optional import require

_BRANCH_RESULTS = ("res_line", "res_trafo", "res_trafo3w", "res_impedance")


def ac_losses(net: Any, steps: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Each step with all losses in W: reactive power, voltages and iron included; nan where the flow does not converge.

    Leaves the powers of the last step in ``net``.
    """
    pandapower = require("pandapower")
    simbench = require("simbench")
    absolute = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    for step in steps:
        for (table, column), values in absolute.items():
            if len(values.columns):
                net[table].loc[values.columns, column] = values.iloc[step].to_numpy()
        with warnings.catch_warnings():
            # Of deprecations in pandapower's own calls.
            warnings.simplefilter("ignore")
            try:
                # At some dozens of power flows, compiling would take longer than it saves.
                pandapower.runpp(net, numba=False)
            except pandapower.LoadflowNotConverged:
                yield step, float("nan")
                continue
        loss_mw = sum(
            float(np.nansum(net[table]["pl_mw"])) for table in _BRANCH_RESULTS if table in net
        )
        yield step, loss_mw * W_PER_MEGAWATT
