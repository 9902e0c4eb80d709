"""Missing energy as sinks' routers count it: who may say so of a circuit, and how a promise that is over is ended."""

from controller.core.circuits.circuit import Circuit
from controller.core.messages import CircuitStatus
from controller.core.network.network import Network
from controller.core.promises.blame import note_shortfalls
from digitalgrid.model import FlowState


def note_missing(
    network: Network,
    circuit: Circuit | None,
    router_id: str,
    status: CircuitStatus,
    at_unix_ns: int,
) -> bool:
    """Take what the router that has the circuit's load, or had it, says is missing; whether that is news."""
    if circuit is None or status.missing is None:
        return False
    generation = circuit.generations.get(status.key.generation)
    ends_here = generation is not None and generation.route.sink_router_id == router_id
    if not ends_here and _router_of_load(network, circuit) != router_id:
        return False
    books = network.books_of(router_id)
    before = circuit.missing.get(books)
    if not circuit.note_missing(books, status.missing):
        return False
    note_shortfalls(network.last_view, circuit, status.missing, before, at_unix_ns)
    if status.state is FlowState.ACTUATED:
        # What it lost before is told.
        circuit.lost = circuit.withheld = None
    return True


def is_over(network: Network, circuit: Circuit | None, router_id: str) -> bool:
    """Whether a router that counts what is missing of a circuit, of which it holds nothing, should have ceased to."""
    if circuit is None or not circuit.admin_up:
        return True
    return _router_of_load(network, circuit) not in ("", router_id)


def _router_of_load(network: Network, circuit: Circuit) -> str:
    """Empty where no router has it just now."""
    router_id, _ = network.last_view.loads.get(circuit.sink_id, ("", None))
    return router_id
