import pytest

from controller.openflow.fabric import Fabric, FrameReceived
from controller.openflow.flows import AddFlow, RemoveFlow, SendFrame, Verdict
from controller.openflow.frames import PortId, arp_frame, parse_arp, parse_ethernet
from controller.openflow.hosts import MAX_HOSTS_PER_PORT
from controller.openflow.ports import PortState
from digitalgrid.units import NS_PER_MS
from tests.support.openflow_model import ModelNetwork, ip, mac, unicast, who_has

SETTLED_NS = 12_000 * NS_PER_MS


@pytest.fixture
def ring() -> ModelNetwork:
    """Three switches in a ring, a host on each, and a second one on the first."""
    network = ModelNetwork(Fabric(b"unittest"))
    for dpid in (1, 2, 3):
        network.add_switch(dpid)
    for a, b in ((1, 2), (2, 3), (3, 1)):
        network.add_wire(a, b)
    for host, dpid in ((1, 1), (2, 2), (3, 3), (4, 1)):
        network.add_host(host, dpid)
    for dpid in (1, 2, 3):
        network.connect(dpid)
    network.run_for(SETTLED_NS)
    return network


def everybody_speaks(network: ModelNetwork) -> None:
    for host in network.hosts:
        network.send(host, who_has(host, 99))


def test_a_new_port_carries_nothing_until_it_is_known() -> None:
    network = ModelNetwork(Fabric(b"unittest"))
    network.add_switch(1)
    network.add_host(1, 1)
    network.add_host(2, 1)
    network.connect(1)
    assert network.send(1, who_has(1, 2)) == []
    network.run_for(399 * NS_PER_MS)
    assert network.send(1, who_has(1, 2)) == []
    network.run_for(2 * NS_PER_MS)
    assert [receiver for receiver, _ in network.send(1, who_has(1, 2))] == [2]


def test_its_size_is_told_beside_what_runs(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    assert ring.fabric.size == (3, 3, len(ring.fabric.snapshot().hosts))
    assert ring.fabric.size.hosts == len(ring.hosts)


def test_arp_is_answered_from_what_was_learned(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    ((asker, reply),) = ring.send(1, who_has(1, 3))
    ethernet = parse_ethernet(reply)
    assert asker == 1
    assert ethernet is not None
    arp = parse_arp(ethernet)
    assert arp is not None
    assert (arp.is_request, arp.sender_mac, arp.sender_ip) == (False, mac(3), ip(3))
    assert ring.fabric.snapshot().counters.arp_answered == 1


def test_for_an_address_that_a_host_has_given_up_nobody_answers(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    moved = arp_frame(
        is_request=True, sender_mac=mac(3), sender_ip=ip(30), target_mac=bytes(6), target_ip=ip(99)
    )
    ring.send(3, moved)
    answered = ring.fabric.snapshot().counters.arp_answered
    assert len(ring.send(1, who_has(1, 3))) == 3, "it is asked for at every edge"
    assert ring.fabric.snapshot().counters.arp_answered == answered
    ((_, reply),) = ring.send(1, who_has(1, 30))
    ethernet = parse_ethernet(reply)
    assert ethernet is not None
    arp = parse_arp(ethernet)
    assert arp is not None
    assert arp.sender_mac == mac(3)


def test_an_address_that_another_host_takes_is_its_alone(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    taken = arp_frame(
        is_request=True, sender_mac=mac(2), sender_ip=ip(3), target_mac=bytes(6), target_ip=ip(99)
    )
    ring.send(2, taken)
    hosts = ring.fabric.snapshot().hosts
    assert (hosts[mac(2)].ip, hosts[mac(3)].ip) == (ip(3), None)
    ring.send(3, who_has(3, 99))
    hosts = ring.fabric.snapshot().hosts
    assert (hosts[mac(2)].ip, hosts[mac(3)].ip) == (None, ip(3))


def test_a_host_that_makes_up_addresses_fills_its_own_port_and_no_other(
    ring: ModelNetwork,
) -> None:
    everybody_speaks(ring)
    for number in range(5000):
        source = bytes([2, 1, 0, 0, *number.to_bytes(2, "big")])
        ring.send(1, mac(2) + source + b"\x08\x00" + bytes(46))
    snapshot = ring.fabric.snapshot()
    assert len(snapshot.hosts) == 3 + MAX_HOSTS_PER_PORT
    assert snapshot.counters.hosts_refused == 5000 - MAX_HOSTS_PER_PORT + 1
    assert all(
        len(installed) < 2 * (3 + MAX_HOSTS_PER_PORT) + 16
        for installed in ring.fabric._installed.values()
    )
    # The others talk as before.
    assert [receiver for receiver, _ in ring.send(2, unicast(2, 3))] == [3]


def test_each_host_costs_the_controller_a_question_or_two(ring: ModelNetwork) -> None:
    before = ring.to_controller
    everybody_speaks(ring)
    asked = ring.to_controller - before
    assert asked == len(ring.hosts)
    for a in ring.hosts:
        for b in ring.hosts:
            for _ in range(10):
                ring.send(a, unicast(a, b))
    assert ring.to_controller - before == asked


def test_an_unknown_destination_is_asked_for_once_and_then_dropped(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    before = ring.to_controller
    assert len(ring.send(1, unicast(1, 77))) == 3
    for _ in range(100):
        assert ring.send(1, unicast(1, 77)) == []
    assert ring.to_controller == before + 1


def test_a_lost_trunk_changes_only_the_flows_that_used_it(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    flows_before = {dpid: dict(switch.flows) for dpid, switch in ring.switches.items()}
    ring.cut(PortId(1, 1))
    changed = {
        dpid: {
            match
            for match in switch.flows.keys() | flows_before[dpid].keys()
            if switch.flows.get(match) != flows_before[dpid].get(match) and match.destination
        }
        for dpid, switch in ring.switches.items()
    }
    assert {m.destination for m in changed[1]} == {mac(2)}
    assert {m.destination for m in changed[2]} == {mac(1), mac(4)}
    assert not changed[3]
    assert ring.send(1, unicast(1, 2)) == [(2, unicast(1, 2))]


def test_a_silent_trunk_is_noticed_and_never_becomes_an_edge(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    ends = {PortId(1, 1), ring.wires[PortId(1, 1)]}
    ring.silent |= ends
    ring.run_for(SETTLED_NS)
    states = ring.fabric.snapshot().ports
    assert {states[end] for end in ends} == {PortState.PROBING}
    assert ring.send(1, unicast(1, 2)) == [(2, unicast(1, 2))]
    ring.silent.clear()
    ring.run_for(SETTLED_NS)
    assert {ring.fabric.snapshot().ports[end] for end in ends} == {PortState.TRUNK}


def test_a_switch_that_connects_late_turns_its_neighbours_edges_into_trunks() -> None:
    network = ModelNetwork(Fabric(b"unittest"))
    network.add_switch(1)
    network.add_switch(2)
    here, there = network.add_wire(1, 2)
    network.connect(1)
    network.run_for(SETTLED_NS)
    assert network.fabric.snapshot().ports[here] is PortState.EDGE
    network.connect(2)
    assert {network.fabric.snapshot().ports[end] for end in (here, there)} == {PortState.TRUNK}


def test_a_loop_behind_two_edge_ports_is_closed_by_its_first_echo() -> None:
    """Where probes are lost on a trunk while it looks like two edges, broadcasts must not circle."""
    fabric = Fabric(b"unittest")
    network = ModelNetwork(fabric)
    network.add_switch(1)
    network.add_switch(2)
    here, there = network.add_wire(1, 2)
    network.add_host(1, 1)
    network.silent |= {here, there}
    network.connect(1)
    network.connect(2)
    network.run_for(SETTLED_NS)
    assert fabric.snapshot().ports[here] is PortState.EDGE
    network.silent.clear()
    network.send(1, who_has(1, 99))
    snapshot = fabric.snapshot()
    # The flood crossed the wire both ways.
    assert snapshot.counters.echoes == 2
    assert snapshot.hosts[mac(1)].port == network.hosts[1]
    network.run_for(SETTLED_NS)
    assert fabric.snapshot().ports[there] is PortState.TRUNK


def test_a_known_hosts_other_ip_address_is_learned(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    moved = who_has(1, 99).replace(ip(1), ip(50))
    ring.send(1, moved)
    assert ring.fabric.snapshot().hosts[mac(1)].ip == ip(50)
    ((asker, _),) = ring.send(2, who_has(2, 50))
    assert asker == 2


def test_frames_of_unknown_switches_and_ports_do_nothing() -> None:
    fabric = Fabric(b"unittest")
    assert fabric.handle(FrameReceived(PortId(9, 9), who_has(1, 2)), 0) == []
    assert fabric.next_deadline_ns() is None


def test_a_switch_that_comes_back_gets_all_flows_again(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    ring.disconnect(3)
    assert ring.send(1, unicast(1, 2)) == [(2, unicast(1, 2))]
    ring.connect(3)
    ring.run_for(SETTLED_NS)
    known = {match.destination for match in ring.switches[3].flows if match.destination}
    assert known == {mac(1), mac(2), mac(4)}
    assert [receiver for receiver, _ in ring.send(3, who_has(3, 99))] == [1, 4, 2]


def test_a_controller_that_is_started_anew_cuts_nobody_off(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    ring.fabric = Fabric(b"newborn ")
    for dpid in ring.switches:
        ring.run_for(300 * NS_PER_MS)
        ring.connect(dpid)
    for _ in range(50):
        for here, there in ((1, 4), (4, 1), (2, 3), (3, 2)):
            # By whatever way, and once the flows from before are gone by the controller's own.
            assert (there, unicast(here, there)) in ring.send(here, unicast(here, there))
        ring.run_for(100 * NS_PER_MS)
    told = {at for switch in ring.switches.values() for at in switch.told_at.values()}
    assert told == {2}
    assert ring.send(3, unicast(3, 2)) == [(2, unicast(3, 2))]


def test_only_what_differs_is_sent(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    effects = ring.fabric.handle(FrameReceived(ring.hosts[1], who_has(1, 2)), ring.now_ns)
    assert not [e for e in effects if isinstance(e, AddFlow | RemoveFlow)]
    (answer,) = effects
    assert isinstance(answer, SendFrame)
    assert (answer.dpid, answer.ports) == (1, (ring.hosts[1].port,))


def test_trunks_drop_what_is_unknown(ring: ModelNetwork) -> None:
    everybody_speaks(ring)
    stray = unicast(1, 88)
    assert ring.switches[2].verdict(1, stray) is Verdict.DROP
