"""A load that follows the sun: it draws what a solar source has and nobody else was promised, and never more.

    python examples/follow_the_sun.py --load load5 --source source2 --least 100kW

It watches the topology, where the source's router tells what the source can give now. Its circuit is changed in place
when there is another tenth to have or to give up, so small clouds make no work; below ``--least`` it lets go of it.
"""

import argparse

from digitalgrid.client import DEFAULT_SERVER, PowerClient, RequestRefused, power_request
from digitalgrid.units import format_power, parse_power_w
from digitalgrid.v1 import northbound_pb2 as pb

# A change below a tenth of what it has is not worth one.
WORTH_A_CHANGE = 0.1
# Losses on the way come out of what the source gives.
FOR_LOSSES = 0.9


class Follower:
    """One load's circuit, and what it may have by now."""

    def __init__(self, client: PowerClient, load_id: str, source_id: str, least_w: float) -> None:
        self._client = client
        self._load_id, self._source_id, self._least_w = load_id, source_id, least_w
        self.circuit: pb.Circuit | None = None

    def look(self, topology: pb.Topology) -> float:
        """Have what there is of the sun now; returns the power that it has from now on (W)."""
        if self.circuit:
            # Others may have released it.
            circuit = self._client.get_circuit(self.circuit.circuit_id)
            self.circuit = circuit if circuit.admin_up else None
        wanted_w = self._wanted_w(topology)
        has_w = self.circuit.power_w if self.circuit else 0.0
        try:
            if self.circuit and wanted_w < self._least_w:
                self._client.release_circuit(self.circuit.circuit_id)
                self.circuit = None
            elif self.circuit and abs(wanted_w - has_w) > WORTH_A_CHANGE * has_w:
                self.circuit = self._client.change_circuit(self.circuit.circuit_id, wanted_w)
            elif not self.circuit and wanted_w >= self._least_w:
                request = power_request(self._load_id, wanted_w, source_ids=[self._source_id])
                (self.circuit,) = self._client.request_power(request).circuits
        except RequestRefused as refusal:
            # Others were quicker, or the lines are full: it keeps what it has, and looks again at the next news.
            print(f"not now: {refusal.message}")
        return self.circuit.power_w if self.circuit else 0.0

    def _wanted_w(self, topology: pb.Topology) -> float:
        sources = {each.source_id: each for each in topology.sources}
        loads = {each.load_id: each for each in topology.loads}
        mine_w = self.circuit.injected_w if self.circuit else 0.0
        has_w = self.circuit.power_w if self.circuit else 0.0
        if self._source_id not in sources or self._load_id not in loads:
            # A router is away; its circuit waits for it.
            return has_w
        source, load = sources[self._source_id], loads[self._load_id]
        free_w = source.max_power_w - (source.reserved_w - mine_w)
        return max(0.0, min(free_w * FOR_LOSSES, load.max_power_w - (load.reserved_w - has_w)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--server", default=DEFAULT_SERVER)
    options.add_argument("--load", required=True)
    options.add_argument("--source", required=True)
    options.add_argument("--least", type=parse_power_w, default=100e3)
    asked = options.parse_args()
    with PowerClient(asked.server) as client:
        follower = Follower(client, asked.load, asked.source, asked.least)
        told_w = None
        for topology in client.watch_topology():
            power_w = follower.look(topology)
            if power_w != told_w:
                print(f"{asked.load} has {format_power(power_w)} of the sun")
                told_w = power_w


if __name__ == "__main__":
    main()
