"""Answers of a router that come in several messages: put together, within bounds."""

from typing import Generic, TypeVar

from controller.southbound.violation import Violation
from digitalgrid.v1 import southbound_pb2 as pb

M = TypeVar("M", pb.CircuitTable, pb.MetersReply)

# Of hops or meters that one router may tell of: tens of megabytes.
MAX_RECORDS = 200_000


class Parts(Generic[M]):
    """Holds one unfinished answer at a time: parts are sent together, and of what another interrupts nothing counts."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._read_id = 0
        self._whole: M | None = None
        self._records = 0

    def add(self, part: M, records: int) -> M | None:
        """The whole answer with its last part, None before. Violation where it has more records than any router."""
        if self._whole is None or part.read_id != self._read_id:
            self._whole, self._read_id, self._records = part, part.read_id, 0
        else:
            self._whole.MergeFrom(part)
        self._records += records
        if self._records > MAX_RECORDS:
            self._whole = None
            raise Violation(self._kind, f"{self._kind} of more than {MAX_RECORDS} hops or meters")
        if part.more:
            return None
        whole, self._whole = self._whole, None
        return whole
