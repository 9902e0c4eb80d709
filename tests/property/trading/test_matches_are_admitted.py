"""Matches of a network-constrained clearing, asked of the controller one by one: each is held as it was planned."""

from collections.abc import Callable

import numpy as np
import pytest

from controller.core.circuits.request import PowerRequest
from controller.core.invariants import broken_invariants
from digitalgrid.gridfile import Grid, Link, Load, Router, Source
from tests.support.cases import cases
from tests.support.market_networks import random_market
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest
from trading.core.orders import Order, Side
from trading.core.units import power_w
from trading.mechanisms.network import MarketNetwork
from trading.mechanisms.nodal import NodalAuction


def grid_of(orders: list[Order], network: MarketNetwork) -> Grid:
    """The network with a source for each ask and a load for each bid."""
    graph, ids = network.graph, network.router_ids
    links = []
    for link, name in enumerate(network.link_ids):
        arc = int(np.flatnonzero(graph.link == link)[0])
        ends = ids[graph.tail[arc]], ids[graph.head[arc]]
        ohm, volt = float(graph.resistance_ohm[arc]), float(graph.voltage_v[arc])
        if len(set(ends)) > 1:
            # Else it is a line from a router to itself, which the kernels take and no grid has.
            links.append(Link(name, *ends, ohm, volt, float(graph.ampacity_a[arc])))
    watts = {order.seq: power_w(order.wh, order.interval.length_ns) for order in orders}
    places = {order.seq: ids[network.router_of[order.meter_id]] for order in orders}
    return Grid(
        "market",
        tuple(Router(name, float(graph.efficiency[node])) for node, name in enumerate(ids)),
        tuple(links),
        tuple(
            Source(f"s{o.seq}", places[o.seq], watts[o.seq]) for o in orders if o.side is Side.SELL
        ),
        tuple(Load(f"b{o.seq}", places[o.seq], watts[o.seq]) for o in orders if o.side is Side.BUY),
    )


# Books of these have much to match; of later ones a few have nothing.
USUAL = 5


@pytest.mark.parametrize("seed", cases("NETWORKS", USUAL))
def test_the_controller_holds_each_in_its_turn_over_the_path_that_was_chosen(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    orders, network = random_market(seed)
    # Nothing stands in the controller's.
    for arc in np.flatnonzero(network.graph.load_a).tolist():
        network.graph.set_load(arc, 0.0)
    clearing = NodalAuction().clear(orders, network, 0)
    record_property("circuits", len(clearing.matches))
    assert len(clearing.matches) > 3 or seed >= USUAL
    grid = SimulatedNetwork.running(grid_of(orders, network))
    by_seq = {order.seq: order for order in orders}
    for number, match in enumerate(clearing.matches):
        length_ns = by_seq[match.buy_seq].interval.length_ns
        (circuit,) = grid.request(
            PowerRequest(
                f"t{number}/1",
                f"b{match.buy_seq}",
                power_w(match.wh, length_ns),
                (f"s{match.sell_seq}",),
                hold_ms=60_000,
                # As an exchange asks; at one router there is no way to name.
                explicit_route=match.path or None,
            )
        )
        route = newest(circuit).route
        assert tuple(link.link_id for link in route.links) == match.path
        # No more is injected than the seller's price was made for.
        assert route.injected_w <= power_w(match.wh, length_ns) * match.injected_ppm / 1e6 * (
            1 + 1e-9
        )
    assert broken_invariants(grid.core.questions) == []
