"""The tree of ``dgctl top``: below each source its circuits, and below each of them the lines of its way, hop by hop.

Power and loss are of what hangs there, load is that of the whole source or line, whoever else uses it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from dgctl.circuit_tables import state
from dgctl.listing import Cell, natural
from dgctl.topology_tables import LINKS
from digitalgrid.columns import Columns
from digitalgrid.units import format_fraction, format_power
from digitalgrid.v1 import northbound_pb2 as pb

_HEADS = ("source, circuit, hop", "state", ">power", ">load", ">loss", "reason")
_INDENT = "  "
_STATE, _USED, _WHY = (LINKS.column(each) for each in ("state", "used", "why-down"))

Row = tuple[Cell, ...]


class Tree:
    """Of circuits in the order in which they are given; a source stands where its first circuit does."""

    def __init__(
        self, circuits: Iterable[pb.Circuit], topology: pb.Topology, *, with_idle: bool
    ) -> None:
        """``with_idle``: sources without any of the circuits stand there too, last."""
        self._links = {each.link_id: each for each in topology.links}
        self._sources = {each.source_id: each for each in topology.sources}
        self._circuits: dict[str, list[pb.Circuit]] = {}
        for circuit in circuits:
            self._circuits.setdefault(circuit.source_id, []).append(circuit)
        if with_idle:
            for source_id in sorted(self._sources, key=natural):
                self._circuits.setdefault(source_id, [])

    def __len__(self) -> int:
        return sum(1 + sum(map(_height, each)) for each in self._circuits.values())

    def table(self, shown: slice, title: str) -> Columns:
        """The rows of ``shown``; of the others none is made, however many there are."""
        table = Columns(*_HEADS, title=title)
        for row in islice(self._rows(shown.start), shown.stop - shown.start):
            table.add_row(*row)
        return table

    def _rows(self, first: int) -> Iterator[Row]:
        above = 0
        for source_id, circuits in self._circuits.items():
            if above >= first:
                yield self._source(source_id, circuits)
            above += 1
            for circuit in circuits:
                height = _height(circuit)
                if above + height > first:
                    yield from islice(self._circuit(circuit), max(0, first - above), None)
                above += height

    def _source(self, source_id: str, circuits: Sequence[pb.Circuit]) -> Row:
        injected_w = sum(each.injected_w for each in circuits)
        lost_w = sum(each.injected_w * each.loss_fraction for each in circuits)
        source = self._sources.get(source_id)
        if source is None:
            name, load = source_id or "no source", ""
        else:
            name, load = (
                f"{source_id} at {source.router_id}",
                _share(source.reserved_w, source.max_power_w),
            )
        return name, "", format_power(injected_w), load, _share(lost_w, injected_w), ""

    def _circuit(self, circuit: pb.Circuit) -> Iterator[Row]:
        name = f"{_INDENT}{circuit.circuit_id} to {circuit.sink_id}"
        loss = format_fraction(circuit.loss_fraction)
        yield name, state(circuit), format_power(circuit.power_w), "", loss, circuit.reason
        for hop in circuit.links:
            name = f"{_INDENT * 2}{hop.from_router_id} > {hop.to_router_id} over {hop.link_id}"
            link = self._links.get(hop.link_id)
            yield (
                name,
                _STATE.cell(link) if link else "unknown",
                format_power(hop.sent_w),
                _USED.cell(link) if link else "-",
                _share(hop.sent_w - hop.received_w, hop.sent_w),
                _WHY.cell(link) if link else "",
            )


def _height(circuit: pb.Circuit) -> int:
    return 1 + len(circuit.links)


def _share(part: float, whole: float) -> str:
    return format_fraction(part / whole) if whole else "-"
