"""What routers advertise of their lines is true a tick later, and said once."""

from digitalgrid.model import DownCause
from digitalgrid.units import NS_PER_S
from tests.support.device_network import DeviceNetwork, router

TICK_NS = NS_PER_S // 10


def advertised(network: DeviceNetwork) -> list[tuple[bool, DownCause]]:
    """Of the only line, by both ends."""
    lsas = [network.nodes[name].lsa for name in "ab"]
    return [(link.up, link.down_cause) for lsa in lsas if lsa is not None for link in lsa.links]


def test_why_a_line_is_down_is_advertised_though_it_does_not_come_up() -> None:
    network = DeviceNetwork([router("a", ("ab", "b")), router("b", ("ab", "a"))])
    network.run(3 * NS_PER_S)
    assert advertised(network) == [(True, DownCause.UNKNOWN)] * 2
    network.cut("ab")
    assert advertised(network) == [(False, DownCause.CARRIER_LOST)] * 2
    network.silence("ab")
    network.restore("ab")
    network.run(TICK_NS)
    assert advertised(network) == [(False, DownCause.NOT_HEARD)] * 2
    network.heal("ab")
    network.silence("ab", "b")
    network.run(2 * TICK_NS)
    assert advertised(network) == [(False, DownCause.NOT_HEARD), (False, DownCause.FAR_END)]
    adverts = [node.adverts for node in network.nodes.values()]
    network.run(5 * NS_PER_S)
    assert [node.adverts for node in network.nodes.values()] == adverts
    network.heal("ab")
    network.run(TICK_NS)
    assert advertised(network) == [(True, DownCause.UNKNOWN)] * 2
