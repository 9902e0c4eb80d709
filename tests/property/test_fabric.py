"""Whatever the switches' graph and the order of things: everybody reaches everybody, and nothing loops."""

import random

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.openflow.fabric import Fabric
from controller.openflow.frames import PortId
from controller.openflow.ports import PortState
from digitalgrid.units import NS_PER_MS
from tests.support.openflow_model import ModelNetwork, mac, unicast, who_has

SETTLED_NS = 12_000 * NS_PER_MS


@st.composite
def networks(draw: st.DrawFn) -> tuple[ModelNetwork, random.Random]:
    """Up to six switches in any graph, rings, parallel trunks and loops included; hosts anywhere."""
    switches = draw(st.integers(1, 6))
    ends = st.tuples(st.integers(1, switches), st.integers(1, switches))
    wires = draw(st.lists(ends, max_size=10))
    places = draw(st.lists(st.integers(1, switches), min_size=2, max_size=6))
    rng = random.Random(draw(st.integers(0, 2**32)))
    network = ModelNetwork(Fabric(b"property"))
    for dpid in range(1, switches + 1):
        network.add_switch(dpid)
    for a, b in wires:
        network.add_wire(a, b)
    for host, dpid in enumerate(places, start=1):
        network.add_host(host, dpid)
    return network, rng


def reachable(network: ModelNetwork) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(d for d, switch in network.switches.items() if switch.connected)
    graph.add_edges_from(
        (a.dpid, b.dpid)
        for a, b in network.wires.items()
        if all(
            end.dpid in graph
            and end.port in network.switches[end.dpid].ports_up
            and end not in network.silent
            for end in (a, b)
        )
    )
    return graph


def check_everybody(network: ModelNetwork) -> None:
    """Broadcasts reach each host at most once; unicasts go where switches can carry them, and nowhere else."""
    graph = reachable(network)
    connected = [h for h, port in network.hosts.items() if port.dpid in graph]
    for host in connected:
        nobody = network.send(host, who_has(host, 99))
        assert sorted(receiver for receiver, _ in nobody) == [h for h in connected if h != host]
    asked_before = network.to_controller
    for a in connected:
        for b in connected:
            path = nx.has_path(graph, network.hosts[a].dpid, network.hosts[b].dpid)
            frame = unicast(a, b)
            expected = [(b, frame)] if path and a != b else []
            assert network.send(a, frame) == expected
            if path:
                assert network.to_controller == asked_before, "a known host's frame is asked about"
            asked_before = network.to_controller


@settings(max_examples=60)
@given(networks())
def test_everybody_reaches_everybody(given_network: tuple[ModelNetwork, random.Random]) -> None:
    network, rng = given_network
    order = list(network.switches)
    rng.shuffle(order)
    for dpid in order:
        network.connect(dpid)
        network.run_for(rng.choice([0, 50, 1000, 20_000]) * NS_PER_MS)
        # Hosts talk while the fabric is still finding out what is what.
        host = rng.choice(list(network.hosts))
        network.send(host, who_has(host, 99))
    network.run_for(SETTLED_NS)
    check_everybody(network)


@settings(max_examples=60)
@given(networks())
def test_whatever_breaks_nothing_loops(given_network: tuple[ModelNetwork, random.Random]) -> None:
    network, rng = given_network
    for dpid in network.switches:
        network.connect(dpid)
    network.run_for(SETTLED_NS)
    for _ in range(12):
        _break_or_mend(network, rng)
        network.run_for(rng.choice([0, 10, 300, 3000, 6000]) * NS_PER_MS)
        host = rng.choice(list(network.hosts))
        network.send(host, who_has(host, 99))
        other = rng.choice(list(network.hosts))
        network.send(host, unicast(host, other))
    network.run_for(SETTLED_NS)
    check_everybody(network)


@settings(max_examples=40)
@given(networks())
def test_trunks_and_edges_are_told_apart(given_network: tuple[ModelNetwork, random.Random]) -> None:
    network, _ = given_network
    for dpid in network.switches:
        network.connect(dpid)
    network.run_for(SETTLED_NS)
    states = network.fabric.snapshot().ports
    assert {port for port, state in states.items() if state is PortState.TRUNK} == set(
        network.wires
    )
    assert {port for port, state in states.items() if state is PortState.EDGE} == set(
        network.hosts.values()
    )


def _break_or_mend(network: ModelNetwork, rng: random.Random) -> None:
    dpid = rng.choice(list(network.switches))
    choices = ["switch"] + ["carrier", "silence"] * bool(network.wires)
    match rng.choice(choices):
        case "switch" if network.switches[dpid].connected:
            network.disconnect(dpid)
        case "switch":
            network.connect(dpid)
        case "carrier":
            end = rng.choice(list(network.wires))
            up = end.port in network.switches[end.dpid].ports_up
            (network.cut if up else network.restore)(end)
        case "silence":
            end = rng.choice(list(network.wires))
            network.silent ^= {end, network.wires[end]}


def test_a_host_that_moves_is_found_again() -> None:
    network = ModelNetwork(Fabric(b"property"))
    for dpid in (1, 2, 3):
        network.add_switch(dpid)
    for a, b in ((1, 2), (2, 3), (3, 1)):
        network.add_wire(a, b)
    for host, dpid in ((1, 1), (2, 2), (3, 3)):
        network.add_host(host, dpid)
        network.connect(dpid)
    network.run_for(SETTLED_NS)
    check_everybody(network)
    network.hosts[1] = PortId(3, 9)
    network.set_carrier(PortId(3, 9), up=True)
    network.run_for(SETTLED_NS)
    network.send(1, unicast(1, 2))
    assert network.fabric.snapshot().hosts[mac(1)].port == PortId(3, 9)
    check_everybody(network)
