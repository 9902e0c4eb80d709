"""A circuit over two ways with a standby on the other, and what its sink tells of them."""

import random

from digitalgrid.model import CircuitGeneration, FlowState, SwitchCause
from router_agent.device.sink import FlowStatus
from tests.support.missing_energy import LOAD, TwoWays

WORKING, STANDBY = CircuitGeneration(1, 1), CircuitGeneration(1, 2)
DEAD_MS = 170
TRICKLE = 0.1


def news(ways: TwoWays) -> list[tuple[int, FlowState, SwitchCause]]:
    """What the sink has told: generations, states and causes, in order."""
    told = ways.network.nodes[LOAD].statuses
    return [(each.key.generation, each.state, each.switch_cause) for _, each in told]


def switches(ways: TwoWays) -> list[tuple[int, FlowStatus]]:
    told = ways.network.nodes[LOAD].statuses
    return [(at, each) for at, each in told if each.state is FlowState.SWITCHED]


def demanded(ways: TwoWays, circuit_id: int = 1) -> set[int]:
    return {
        flow.key.generation
        for flow in ways.network.nodes[LOAD].device.flows
        if flow.key.circuit_id == circuit_id and flow.demand_w > 0.0
    }


def protected(lines: int = 3, *, seed: int = 1, trickle: float = TRICKLE, **more: int) -> TwoWays:
    draw = random.Random(seed)
    ways = TwoWays(lines, power_w=1e6 / more.get("circuits", 1), **more)  # type: ignore[arg-type]
    tick_ms = more.get("tick_ms", 100)
    ways.program(1, 0, trickle=trickle)
    ways.run_ms(lines * 12 * tick_ms + 500)
    ways.program(2, 1, standby=True, trickle=trickle)
    ways.run_ms(lines * 12 * tick_ms + 1000 + draw.uniform(0, tick_ms))
    return ways
