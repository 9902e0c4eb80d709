"""Whether a network has two paths at all, as the run of protected circuits finds out by itself."""

import random
from pathlib import Path

import networkx as nx
import pytest

from digitalgrid.gridfile import Grid, load_grid
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.demo.pairs import Pairs

ELAN9 = load_grid(Path(__file__).parents[3] / "topologies" / "elan9.grid.yaml")


def topology(grid: Grid, down: set[str]) -> pb.Topology:
    return pb.Topology(
        routers=[pb.RouterState(router_id=r.id, connected=r.id not in down) for r in grid.routers],
        links=[
            pb.LinkState(
                link_id=link.id,
                a_router_id=link.a,
                b_router_id=link.b,
                up=link.id not in down,
                voltage_v=link.voltage_v,
                ampacity_a=link.ampacity_a,
                risk_groups=["duct"] if link.id in ("r1-r3", "r2-r4", "r2-r9") else [],
            )
            for link in grid.links
        ],
        sources=[pb.SourceState(source_id=s.id, router_id=s.router) for s in grid.sources],
        loads=[pb.LoadState(load_id=load.id, router_id=load.router) for load in grid.loads],
    )


def circuit(protect: "pb.Protect.ValueType", power_w: float = 10e3) -> pb.Circuit:
    return pb.Circuit(circuit_id=1, sink_id="load5", power_w=power_w, protect=protect)


def disjoint_paths(grid: Grid, down: set[str], protect: "pb.Protect.ValueType") -> int:
    """Maximum flow of lines of one unit, each router split in two of one unit where it may not be shared."""
    split = protect == pb.PROTECT_ROUTER
    best = 0
    starts = [source.router for source in grid.sources if source.router not in down]
    # Both may begin at one router, or each at its own, which the other does not cross.
    for begin in [[each] * 2 for each in starts] + [starts]:
        graph = nx.DiGraph()
        graph.add_nodes_from(("begin", ("r5", "in")))
        for router in grid.routers:
            free = not split or begin.count(router.id) == 2
            graph.add_edge((router.id, "in"), (router.id, "out"), capacity=2 if free else 1)
        for link in grid.links:
            if not down & {link.id, link.a, link.b}:
                graph.add_edge((link.a, "out"), (link.b, "in"), capacity=1)
                graph.add_edge((link.b, "out"), (link.a, "in"), capacity=1)
        for each in begin:
            capacity = 1 if split and len(set(begin)) == 2 else 2
            graph.add_edge("begin", (each, "in"), capacity=capacity)
        best = max(best, nx.maximum_flow_value(graph, "begin", ("r5", "in")))
    return best


@pytest.mark.parametrize("protect", [pb.PROTECT_LINK, pb.PROTECT_ROUTER])
def test_two_paths_are_found_where_a_maximum_flow_has_two(
    protect: "pb.Protect.ValueType",
) -> None:
    draw, answers = random.Random(5), set()
    ids = [each.id for each in ELAN9.links] + ["r1", "r2", "r3", "r4", "r7", "r8", "r9"]
    for number in range(60):
        down = set(draw.sample(ids, number % 6))
        has_pair = Pairs(topology(ELAN9, down)).has_pair(circuit(protect))
        assert has_pair is (disjoint_paths(ELAN9, down, protect) >= 2), down
        answers.add(has_pair)
    assert answers == {True, False}


def test_risk_groups_and_room_count_where_they_are_asked_for() -> None:
    view = topology(ELAN9, {"r1-r8"})
    assert Pairs(view).has_pair(circuit(pb.PROTECT_LINK))
    assert not Pairs(view).has_pair(circuit(pb.PROTECT_RISK))
    assert not Pairs(view).has_pair(circuit(pb.PROTECT_LINK, power_w=15e6))
    narrow = next(link for link in view.links if link.link_id == "r1-r3")
    narrow.reserved_a_to_b_a = narrow.ampacity_a
    for link in view.links:
        link.up &= link.link_id != "r2-r9"
    asked = circuit(pb.PROTECT_LINK)
    assert not Pairs(view).has_pair(asked), "others hold it"
    narrow.pool_a_to_b_a = narrow.ampacity_a
    assert Pairs(view).has_pair(asked), "for whoever needs it"
    narrow.pool_a_to_b_a = 0.0
    asked.links.add(link_id="r1-r3", current_a=1.0)
    assert Pairs(view).has_pair(asked), "it holds a part itself"
