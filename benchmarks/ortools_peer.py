"""OR-Tools as a peer: its minimum-cost flow in a process of its own, which takes the times itself.

It needs another protobuf than the project, and must share no process with HiGHS, so it lives in ``.venv-ortools``.
"""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.apart import Missing

_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = _ROOT / ".venv-ortools" / "bin" / "python"
_WORKER = Path(__file__).with_name("ortools_worker.py")

Whole = npt.NDArray[np.int64]


class Solved(NamedTuple):
    """``seconds`` is for setting supplies and solving; ``flows`` by arc is empty where there is no flow."""

    seconds: float
    optimal: bool
    cost: int
    flows: Whole


class OrtoolsFlow:
    """SimpleMinCostFlow on one network, for one set of supplies after the other. Use as a context manager."""

    def __init__(self) -> None:
        """Raises Missing where OR-Tools' environment is not there."""
        if not _PYTHON.exists():
            raise Missing(f"{_PYTHON} is missing; `make bench` installs OR-Tools there")
        self._process = subprocess.Popen(
            [_PYTHON, _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> "OrtoolsFlow":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def load(self, tail: Any, head: Any, capacity: Any, unit_cost: Any) -> float:
        """Give it a network, whose numbers are whole; the seconds that adding all arcs took."""
        answer = self._ask(
            tail=np.asarray(tail, dtype=np.int32),
            head=np.asarray(head, dtype=np.int32),
            capacity=np.asarray(capacity, dtype=np.int64),
            unit_cost=np.asarray(unit_cost, dtype=np.int64),
        )
        return float(answer["build_s"])

    def solve(self, nodes: Any, supplies: Any) -> Solved:
        """The cheapest flow for these supplies; demands are negative, and of all other nodes there are none."""
        answer = self._ask(
            nodes=np.asarray(nodes, dtype=np.int32), supplies=np.asarray(supplies, dtype=np.int64)
        )
        return Solved(
            float(answer["solve_s"]),
            str(answer["status"]) == "OPTIMAL",
            int(answer["cost"]),
            answer["flows"],
        )

    def _ask(self, **arrays: Any) -> dict[str, Any]:
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        archive = io.BytesIO()
        np.savez(archive, **arrays)
        pipes[0].write(archive.tell().to_bytes(8, sys.byteorder) + archive.getvalue())
        pipes[0].flush()
        header = pipes[1].read(8)
        if len(header) < 8:
            raise RuntimeError("OR-Tools' process has ended; what it printed tells why")
        length = int.from_bytes(header, sys.byteorder)
        return dict(np.load(io.BytesIO(pipes[1].read(length))))
