"""Has every kernel of the search compiled, or loaded from disk: seconds that no request should have to wait for."""

from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.batch import admit_batch, ends, release, requests
from controller.routing.paths.cspf import PathSearch
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmarks import Landmarks
from controller.routing.paths.widest_path import widest_w


def compile_kernels() -> None:
    """Answer a few questions on a network of three routers, in every way that there is."""
    graph = _three_routers()
    landmarks = Landmarks(graph, 1)
    landmarks.repair(0)
    for guide in (None, landmarks, Hierarchy(graph)):
        search = PathSearch(graph, guide)
        for max_hops in (None, 2):
            search.best(0, 1.0, {2: 10.0}, max_hops=max_hops, credit_a={0: 1.0})
    widest_w(graph, 0, {2: 10.0})
    where = ends(3, [2], [10.0], [0], [10.0])
    asked = requests([0], [1.0], candidates=[[0]])
    release(graph, where, asked, admit_batch(PathSearch(graph), where, asked), 0)


def _three_routers() -> PowerGraph:
    return graph_of_links([0.9] * 3, [0, 1], [1, 2], [1.0] * 2, [100.0] * 2, [1.0] * 2)
