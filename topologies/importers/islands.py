"""What hangs together: islands without use are dropped, loops that nobody controls are counted."""

from collections.abc import Collection, Iterable

from digitalgrid.gridfile import Link
from topologies.importers.injections import Injections
from topologies.importers.optional import require
from topologies.importers.reading import Reading


def useful_routers(
    reading: Reading, router_ids: Iterable[str], links: Iterable[Link], injections: Injections
) -> set[str]:
    """Routers of islands that hold a load or a source. Warns of the others, and of loads that nothing can feed."""
    nx = require("networkx")
    graph = nx.Graph()
    graph.add_nodes_from(router_ids)
    graph.add_edges_from((link.a, link.b) for link in links)
    fed = {source.router for source in injections.sources}
    taking: dict[str, float] = {}
    for load in injections.loads:
        taking[load.router] = taking.get(load.router, 0.0) + load.power_w
    useful: set[str] = set()
    empty = dark = 0
    dark_w = 0.0
    for island in nx.connected_components(graph):
        if fed.isdisjoint(island) and taking.keys().isdisjoint(island):
            empty += 1
            continue
        useful |= island
        if fed.isdisjoint(island):
            dark += 1
            dark_w += sum(taking.get(router, 0.0) for router in island)
    reading.warn_of(empty, "island", "islands", "dropped, without any load or source")
    reading.warn_of(
        dark, "island", "islands", f"kept without any source; {dark_w:.6g} W there stay unserved"
    )
    return useful


def passive_loops(links: Iterable[Link], converters: Collection[str]) -> tuple[int, int]:
    """Independent loops on which no router converts; how many of them are only parallel links."""
    nx = require("networkx")
    graph = nx.MultiGraph(
        (link.a, link.b) for link in links if link.a not in converters and link.b not in converters
    )
    loops = (
        graph.number_of_edges() - graph.number_of_nodes() + nx.number_connected_components(graph)
    )
    parallel = graph.number_of_edges() - nx.Graph(graph).number_of_edges()
    return loops, parallel
