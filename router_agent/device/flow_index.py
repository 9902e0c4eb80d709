"""Flows of a router by what they are looked up for; made anew where one comes or goes, and never changed."""

from collections import defaultdict
from collections.abc import Sequence

from router_agent.device.flow import Flow
from router_agent.device.line import Line


class FlowIndex:
    """``flows`` stand in order of admission, and so does whatever is found."""

    def __init__(self, flows: Sequence[Flow] = ()) -> None:
        self.by_key = {flow.key: flow for flow in flows}
        self.of_circuit: dict[int, list[Flow]] = {}
        for flow in flows:
            self.of_circuit.setdefault(flow.key.circuit_id, []).append(flow)
        # Those of which two generations are here, or more.
        self.beside = [
            flow for together in self.of_circuit.values() if len(together) > 1 for flow in together
        ]
        self.sink_circuits = {flow.key.circuit_id for flow in flows if flow.egress is None}
        self.sinks = [flow for flow in flows if flow.egress is None]
        self._entering: defaultdict[str, list[Flow]] = defaultdict(list)
        self._leaving: defaultdict[str, list[Flow]] = defaultdict(list)
        for flow in flows:
            if flow.ingress is not None:
                self._entering[flow.ingress.link.id].append(flow)
            if flow.egress is not None:
                self._leaving[flow.egress.link.id].append(flow)

    def entering(self, line: Line) -> Sequence[Flow]:
        """Flows whose power comes by this line."""
        return self._entering.get(line.link.id, ())

    def leaving(self, line: Line) -> Sequence[Flow]:
        return self._leaving.get(line.link.id, ())
