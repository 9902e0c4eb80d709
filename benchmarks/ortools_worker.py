"""Runs in OR-Tools' own environment, which shares no process with ours: minimum-cost flows, from stdin to stdout.

Every message is an ``.npz`` archive behind its length in 8 bytes. A network (tail, head, capacity, unit_cost) is
answered with ``build_s``; supplies (nodes, supplies) with ``solve_s``, ``status``, ``cost`` and ``flows`` by arc on
the network that came last. Whole numbers only.
"""

import io
import sys
from time import perf_counter
from typing import Any

import numpy as np
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow


def main() -> None:
    flow, arcs, supplied = SimpleMinCostFlow(), None, None
    while header := sys.stdin.buffer.read(8):
        length = int.from_bytes(header, sys.byteorder)
        message = dict(np.load(io.BytesIO(sys.stdin.buffer.read(length))))
        if "tail" in message:
            begin_s = perf_counter()
            flow = SimpleMinCostFlow()
            arcs = flow.add_arcs_with_capacity_and_unit_cost(
                message["tail"], message["head"], message["capacity"], message["unit_cost"]
            )
            supplied = None
            _answer(build_s=perf_counter() - begin_s)
            continue
        begin_s = perf_counter()
        if supplied is not None:
            flow.set_nodes_supplies(supplied, np.zeros(len(supplied), dtype=np.int64))
        flow.set_nodes_supplies(message["nodes"], message["supplies"])
        status = flow.solve()
        solve_s = perf_counter() - begin_s
        supplied = message["nodes"]
        solved = status == flow.OPTIMAL
        _answer(
            solve_s=solve_s,
            status=status.name,
            cost=flow.optimal_cost() if solved else 0,
            flows=flow.flows(arcs) if solved else np.zeros(0, dtype=np.int64),
        )


def _answer(**arrays: Any) -> None:
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    sys.stdout.buffer.write(archive.tell().to_bytes(8, sys.byteorder) + archive.getvalue())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
