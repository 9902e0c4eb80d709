"""Circuits that stand on small random graphs, and moving them one by one."""

import numpy as np

from controller.routing.assignments.reoptimise import Move
from controller.routing.assignments.standing import Choice, Circuits, circuits_of, paths_of
from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.cspf import PathSearch


def random_standing(seed: int) -> tuple[PowerGraph, Circuits]:
    """A graph of 3 to 9 routers on which circuits were admitted, of which some went again; sources are shared."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 10))
    links = int(rng.integers(n, 3 * n))
    a = rng.integers(0, n, links)
    b = (a + rng.integers(1, n, links)) % n
    graph = graph_of_links(
        rng.uniform(0.9, 1.0, n),
        a,
        b,
        rng.uniform(0.0, 1.0, links),
        rng.choice([400.0, 1000.0], links),
        rng.uniform(10.0, 40.0, links),
    )
    nodes = rng.integers(0, n, int(rng.integers(1, 5)))
    limit_w = rng.uniform(1e4, 6e4, len(nodes))
    choices = [_choice(rng, n, len(nodes)) for _ in range(3)]
    search, free_w = PathSearch(graph), limit_w.copy()
    held = []
    for _ in range(int(rng.integers(2, 16))):
        choice = int(rng.integers(len(choices)))
        sink, power_w = int(rng.integers(n)), float(rng.uniform(200.0, 6000.0))
        source = int(rng.choice(choices[choice].sources))
        path = search.best(
            sink,
            power_w,
            {int(nodes[source]): float(free_w[source])},
            avoid_nodes=choices[choice].avoid_nodes,
        )
        if path is None:
            continue
        free_w[source] -= path.injected_w
        arcs = np.array(path.arcs, dtype=np.int32)
        current_a = np.array(path.entering_w[1:]) / graph.voltage_v[arcs]
        add_load(graph, arcs.tolist(), current_a.tolist())
        held.append((sink, power_w, choice, source, arcs, current_a))
    kept = [each for each in held if rng.random() < 0.6]
    for each in held:
        if not any(each is other for other in kept) and rng.random() < 0.7:
            add_load(graph, each[4].tolist(), (-each[5]).tolist())
    return graph, circuits_of(
        graph,
        sink=[each[0] for each in kept],
        power_w=[each[1] for each in kept],
        choice=[each[2] for each in kept],
        choices=choices,
        source_node=nodes.tolist(),
        source_limit_w=limit_w.tolist(),
        paths=paths_of([each[3] for each in kept], [each[4] for each in kept]),
        current_a=np.concatenate([np.zeros(0), *(each[5] for each in kept)]),
    )


def _choice(rng: np.random.Generator, nodes: int, sources: int) -> Choice:
    own = rng.choice(sources, int(rng.integers(1, sources + 1)), replace=False)
    avoided = frozenset({int(rng.integers(nodes))} if rng.random() < 0.3 else ())
    return Choice(tuple(int(each) for each in own), avoid_nodes=avoided)


def add_load(graph: PowerGraph, arcs: list[int], current_a: list[float]) -> None:
    for arc, added_a in zip(arcs, current_a, strict=True):
        graph.set_load(arc, max(0.0, float(graph.load_a[arc]) + added_a))


def make_move(
    graph: PowerGraph, circuits: Circuits, held: list[tuple[list[int], list[float]]], move: Move
) -> float:
    """Move a circuit make-before-break; fails where it does not fit. Returns what it injects then (W)."""
    arcs, current_a = held[move.circuit]
    old_a = dict(zip(arcs, current_a, strict=True))
    sink = int(circuits.sink[move.circuit])
    node = sink
    new_a: list[float] = []
    entering_w = circuits.power_w[move.circuit] / graph.efficiency[sink]
    for arc in reversed(move.arcs):
        assert graph.head[arc] == node
        added_a = float(entering_w / graph.voltage_v[arc])
        # Of the older generation only what is more than the new one is charged, and holds room.
        both_a = graph.headroom_a[arc] + old_a.get(arc, 0.0)
        assert added_a <= both_a + 1e-6 * graph.ampacity_a[arc]
        before_a = graph.load_a[arc] - old_a.get(arc, 0.0)
        loss_w = graph.resistance_ohm[arc] * added_a * (2.0 * before_a + added_a)
        node = int(graph.tail[arc])
        entering_w = (entering_w + loss_w) / graph.efficiency[node]
        new_a.insert(0, added_a)
    assert node == circuits.source_node[move.source]
    add_load(graph, arcs, [-each for each in current_a])
    add_load(graph, list(move.arcs), new_a)
    held[move.circuit] = (list(move.arcs), new_a)
    return float(entering_w)


def held_by(circuits: Circuits) -> list[tuple[list[int], list[float]]]:
    """Arcs of every circuit, and its currents there."""
    start = circuits.paths.start
    return [
        (
            circuits.paths.of(index).tolist(),
            circuits.current_a[start[index] : start[index + 1]].tolist(),
        )
        for index in range(circuits.count)
    ]
