"""Small networks under study, as arrays, for tests."""

from collections.abc import Sequence

import numpy as np

from topologies.study.case import StudyCase

VOLTAGE_V = 20e3

# From, to, ohm, ampere.
LinkFigures = tuple[int, int, float, float]


def study_case(
    links: Sequence[LinkFigures],
    load_nodes: Sequence[int],
    source_nodes: Sequence[int] = (),
    ties: Sequence[int] = (),
    efficiency: dict[int, float] | None = None,
) -> StudyCase:
    """Node 0 has the external source, which is the last one; ``ties`` are positions in ``links``."""
    nodes = max([0, *(max(a, b) for a, b, _, _ in links), *load_nodes, *source_nodes]) + 1
    efficiencies = np.ones(nodes)
    for node, value in (efficiency or {}).items():
        efficiencies[node] = value
    ohm = np.array([link[2] for link in links], dtype=np.float64)
    return StudyCase(
        efficiency=efficiencies,
        link_a=np.array([link[0] for link in links], dtype=np.int32),
        link_b=np.array([link[1] for link in links], dtype=np.int32),
        resistance_ohm=ohm,
        impedance_ohm=np.maximum(ohm, 1e-9),
        voltage_v=np.full(len(links), VOLTAGE_V),
        ampacity_a=np.array([link[3] for link in links], dtype=np.float64),
        link_is_tie=np.isin(np.arange(len(links)), list(ties)),
        load_node=np.array(load_nodes, dtype=np.int32),
        load_priority=np.zeros(len(load_nodes), dtype=np.int32),
        source_node=np.array([*source_nodes, 0], dtype=np.int32),
        source_is_external=np.array([False] * len(source_nodes) + [True]),
    )
