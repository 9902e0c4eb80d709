"""Spoofing: a router that speaks for another's meter. Who it is, its session says; certificates will prove that."""

from unittest.mock import patch

import pytest

from controller.core.circuits.generation import Generation
from controller.core.circuits.request import PowerRequest
from digitalgrid.model import FinalMeter
from tests.support.attacks import repelled
from tests.support.grids import mesh
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest

pytestmark = pytest.mark.attack
LIE_MJ = 1


def test_a_router_says_nothing_of_a_meter_that_is_anothers() -> None:
    """It would have the buyer pay for less than came, or the seller for what he gave."""

    def attack() -> bool:
        network = SimulatedNetwork.running(mesh())
        (circuit,) = network.request(PowerRequest("q", "town", 1e6))
        network.deliver_all()
        generation = newest(circuit)
        liar = next(
            each for each in network.grid.routers if each not in generation.route.router_ids
        )
        generation.hear_final(liar, FinalMeter(generation.key, *[LIE_MJ] * 4))
        return LIE_MJ in (generation.injected_mj, generation.delivered_mj)

    def believing(generation: Generation, router_id: str, meter: FinalMeter) -> None:
        generation.injected_mj, generation.delivered_mj = meter.injected_mj, meter.delivered_mj

    repelled(attack, lambda: [patch.object(Generation, "hear_final", believing)])
