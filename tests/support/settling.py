"""Time for a simulated network to come to rest, with its limits and books looked at all along."""

from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.simulated_network import SimulatedNetwork


def settle(network: SimulatedNetwork, duration_ns: int = 5 * NS_PER_S) -> None:
    """What is under way arrives, and what follows from it."""
    end_ns = network.now_ns + duration_ns
    while network.now_ns < end_ns:
        network.deliver_all()
        network.advance(50 * NS_PER_MS)
        network.check()
    network.deliver_all()
