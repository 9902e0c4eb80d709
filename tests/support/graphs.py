"""Small graphs for tests of the kernels."""

from collections.abc import Sequence

from controller.routing.graph import PowerGraph


def graph_of_arcs(
    efficiency: Sequence[float],
    arcs: Sequence[tuple[int, int, float, float]],
    ampacity_a: float = 0.0,
) -> PowerGraph:
    """Arcs (tail, head, ohm, volt) that share no link, numbered in the order of their heads."""
    ordered = sorted(arcs, key=lambda arc: arc[1])
    tail, head, resistance_ohm, voltage_v = zip(*ordered, strict=True) if ordered else [()] * 4
    ampacities_a = [ampacity_a] * len(ordered)
    links = range(len(ordered))
    return PowerGraph(efficiency, tail, head, list(links), resistance_ohm, voltage_v, ampacities_a)
