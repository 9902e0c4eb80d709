"""Books of flows that stand: constant rates, of which the time alone tells what has been moved (lazy accounting).

While nothing changes, a router counts nothing: its energy is a function of the time, in whole numbers, and is put into
the books when anybody looks at them or a rate changes. So it does not matter when, or how often, that is done.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import MICROWATTS_PER_W, MILLIJOULES_PER_J, NANOWATTS_PER_W, NS_PER_S
from router_agent.device.stream import Stream

# Rates times nanoseconds in a millijoule: of what arrives, which is stated in whole milliwatts and promised in
# microwatts, and of losses.
ARRIVES_PER_MJ = MICROWATTS_PER_W * NS_PER_S // MILLIJOULES_PER_J
LOSS_PER_MJ = NANOWATTS_PER_W * NS_PER_S // MILLIJOULES_PER_J


class Charge(NamedTuple):
    """A loss at a constant rate; ``carry`` is what rounding owed when it began, in parts of a millijoule."""

    rate_nw: int
    carry: int

    def by_mj(self, elapsed_ns: int) -> int:
        """Charged by then, to the nearest millijoule."""
        return (self.rate_nw * elapsed_ns + self.carry + LOSS_PER_MJ // 2) // LOSS_PER_MJ

    def owes_mj(self, elapsed_ns: int) -> float:
        """What rounding owes by then."""
        exact = self.rate_nw * elapsed_ns + self.carry
        return (exact - self.by_mj(elapsed_ns) * LOSS_PER_MJ) / LOSS_PER_MJ


class StandingFlow(NamedTuple):
    """One generation whose power passes through this router; an id is empty where it has no such end here."""

    key: CircuitGeneration
    ingress_id: str
    source_id: str
    egress_id: str
    load_id: str
    # What arrives at the far end or the load; ``ahead``: so much of a millijoule was there when it began.
    arrives_uw: int
    ahead: int
    line_loss: Charge
    converter_loss: Charge

    def moved(self, from_ns: int, to_ns: int) -> "Moved":
        """Between two instants, in time since it began to stand."""
        arrives_mj = (self.arrives_uw * to_ns + self.ahead) // ARRIVES_PER_MJ
        arrives_mj -= (self.arrives_uw * from_ns + self.ahead) // ARRIVES_PER_MJ
        line, converter = self.line_loss, self.converter_loss
        return Moved(
            arrives_mj,
            line.by_mj(to_ns) - line.by_mj(from_ns),
            converter.by_mj(to_ns) - converter.by_mj(from_ns),
        )

    def remainder_mj(self, elapsed_ns: int) -> float:
        """What has not arrived yet of a whole millijoule, less what was there when it began."""
        exact = self.arrives_uw * elapsed_ns + self.ahead
        return (exact % ARRIVES_PER_MJ - self.ahead) / ARRIVES_PER_MJ

    @property
    def taken_w(self) -> float:
        """What it takes of its buffer."""
        losses_nw = self.line_loss.rate_nw + self.converter_loss.rate_nw
        return self.arrives_uw / MICROWATTS_PER_W + losses_nw / NANOWATTS_PER_W


class Moved(NamedTuple):
    arrives_mj: int
    line_loss_mj: int
    converter_loss_mj: int

    @property
    def taken_mj(self) -> int:
        return sum(self)


@dataclass(slots=True)
class StandingBooks:
    """All flows of a router that stand, and the streams by which power reaches it.

    Energy has flowed until ``until_ns``, and is in the books until ``settled_ns``.
    """

    flows: Sequence[StandingFlow]
    since_ns: int
    settled_ns: int
    until_ns: int
    # By line; times are those of its far end.
    streams: dict[str, Stream] = field(default_factory=dict)
    # How often something else of the books has changed than what the time tells.
    revision: int = 0

    def settle(self) -> list[Moved]:
        """What each flow has moved that is not in the books; it counts as booked from now on."""
        from_ns, to_ns = self.settled_ns - self.since_ns, self.until_ns - self.since_ns
        self.settled_ns = self.until_ns
        self.revision += 1
        return [flow.moved(from_ns, to_ns) for flow in self.flows]

    def deviation_mj(self) -> float:
        """How far what was charged is from the formulas by now, at most."""
        elapsed_ns = self.settled_ns - self.since_ns
        charges = [
            charge for flow in self.flows for charge in (flow.line_loss, flow.converter_loss)
        ]
        return max(
            (abs(each.owes_mj(0) - each.owes_mj(elapsed_ns)) for each in charges), default=0.0
        )


# Since when, settled and until when; flows and streams that follow.
_HEADER = struct.Struct("!qqqII")
# Circuit, generation; ingress, source, egress, load (their places in the image, or -1); rates and carries.
_FLOW = struct.Struct("!QQhhhhqqqqqq")
# Line, its flows, since when, settled and until when; circuit, generation, rate.
_STREAM = struct.Struct("!hIqqq")
_RATE = struct.Struct("!QQq")


@dataclass(frozen=True, slots=True)
class Places:
    """Where in an image links, sources and loads stand; the empty id stands nowhere."""

    links: Sequence[str]
    sources: Sequence[str]
    loads: Sequence[str]


def pack_standing(standing: StandingBooks | None, places: Places) -> bytes:
    """The last part of an image; nothing where nothing stands. struct.error where a figure has no room."""
    if standing is None:
        return b""
    links, sources, loads = map(_places_of, (places.links, places.sources, places.loads))
    pieces = [
        _HEADER.pack(
            standing.since_ns,
            standing.settled_ns,
            standing.until_ns,
            len(standing.flows),
            len(standing.streams),
        )
    ]
    for flow in standing.flows:
        ends = links[flow.ingress_id], sources[flow.source_id], links[flow.egress_id]
        charges = *flow.line_loss, *flow.converter_loss
        rates = flow.arrives_uw, flow.ahead, *charges
        pieces.append(_FLOW.pack(*flow.key, *ends, loads[flow.load_id], *rates))
    for link_id, stream in standing.streams.items():
        times = stream.since_ns, stream.settled_ns, stream.until_ns
        pieces.append(_STREAM.pack(links[link_id], stream.circuits, *times))
        pieces += [_RATE.pack(*key, rate_mw) for key, rate_mw in stream.rates_mw.items()]
    return b"".join(pieces)


def unpack_standing(image: bytes, at: int, places: Places) -> StandingBooks | None:
    """What an image says from ``at`` on. struct.error, IndexError or ValueError where that makes no sense."""
    if at == len(image):
        return None
    since_ns, settled_ns, until_ns, flow_count, stream_count = _HEADER.unpack_from(image, at)
    at += _HEADER.size
    flows = []
    for _ in range(flow_count):
        circuit_id, generation, ingress, source, egress, load, *rates = _FLOW.unpack_from(image, at)
        arrives_uw, ahead, line_nw, line_carry, converter_nw, converter_carry = rates
        flows.append(
            StandingFlow(
                CircuitGeneration(circuit_id, generation),
                _id_at(places.links, ingress),
                _id_at(places.sources, source),
                _id_at(places.links, egress),
                _id_at(places.loads, load),
                arrives_uw,
                ahead,
                Charge(line_nw, line_carry),
                Charge(converter_nw, converter_carry),
            )
        )
        at += _FLOW.size
    standing = StandingBooks(flows, since_ns, settled_ns, until_ns)
    for _ in range(stream_count):
        link, count, since_ns, settled_ns, until_ns = _STREAM.unpack_from(image, at)
        at += _STREAM.size
        rates_mw = {}
        for _ in range(count):
            circuit_id, generation, rate_mw = _RATE.unpack_from(image, at)
            rates_mw[CircuitGeneration(circuit_id, generation)] = rate_mw
            at += _RATE.size
        stream = Stream(rates_mw, since_ns, settled_ns)
        stream.until_ns = until_ns
        standing.streams[places.links[link]] = stream
    return standing


def _places_of(ids: Sequence[str]) -> Mapping[str, int]:
    return {"": -1} | {each: place for place, each in enumerate(ids)}


def _id_at(ids: Sequence[str], place: int) -> str:
    return ids[place] if place >= 0 else ""
