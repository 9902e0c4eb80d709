"""Curtailment by sources that give less than is reserved (clouds): who gets how much, and since when.

The source's router shares what is left, by :mod:`digitalgrid.sharing`, within the event. The same rule tells here whom
that leaves short, before their sinks say so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.curtailed import BY_OTHERS, Curtailed, by_source
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import source
from controller.core.circuits.route import Route
from controller.core.network.view import GridView
from digitalgrid.physics import ACTUATED_FRACTION
from digitalgrid.sharing import Claim, rank, share_out
from digitalgrid.units import format_power

# How a source stands that is to be looked at anew.
_UNKNOWN = (0.0, 0.0, 0)


@dataclass(slots=True)
class _Short:
    """A source that gives less than is reserved; ``stands`` is what it gives, what is reserved, and how many standbys
    have come to carry. Nobody is short while only standbys lack it.

    ``elsewhere`` are those of its circuits that another source carries, until they have moved here.
    """

    stands: tuple[float, float, int]
    circuit_ids: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)


class Curtailer:
    """Marks the circuits that a source leaves short, and unmarks them when it does no more."""

    def __init__(
        self,
        *,
        book: CircuitBook,
        reservations: Reservations,
        view: Callable[[], GridView],
    ) -> None:
        self._book = book
        self._reservations = reservations
        self._view = view
        self._short: dict[str, _Short] = {}
        # Of all circuits that get less than was asked for by a decision.
        self.circuit_ids: set[int] = set()
        # Counts who was curtailed otherwise than before.
        self.changes = 0
        for circuit in book.live.values():
            carrying = circuit.carrying() or circuit.newest()
            if circuit.curtailed is not None and carrying is not None:
                # As it was stored; it is looked at when its source is known again.
                known = self._short.setdefault(carrying.route.source_id, _Short(_UNKNOWN))
                known.circuit_ids.add(circuit.circuit_id)
                self.circuit_ids.add(circuit.circuit_id)

    def on_view(self, changed_source_ids: Iterable[str]) -> None:
        """Sources may give more or less than before."""
        with self._book.together():
            for source_id in sorted({*changed_source_ids, *self._short}):
                self._look_at(source_id)

    def cut(self, circuit: Circuit, route: Route, by: str) -> None:
        """A circuit's next route has less power than was asked for: others displaced the rest."""
        before = circuit.curtailed
        since_unix_ns = before.since_unix_ns if before else self._book.audit.at_unix_ns
        by = by or (before.by if before else BY_OTHERS)
        self._set(circuit, Curtailed(by, since_unix_ns, circuit.power_w, route.power_w))

    def delivers(self, circuit: Circuit, route: Route) -> None:
        """A circuit's newest route delivers: what others had displaced is back where that is all of its power."""
        by_a_source = circuit.left_short_by(route.source_id)
        if circuit.curtailed and not by_a_source and route.power_w >= circuit.power_w:
            self._set(circuit, None)

    def forget_ended(self) -> None:
        """Whoever was released, has failed or waits is not curtailed any more."""
        for circuit_id in list(self.circuit_ids):
            circuit = self._book.live.get(circuit_id)
            if circuit is None or not circuit.admin_up or circuit.curtailed is None:
                self.circuit_ids.discard(circuit_id)

    def look(self) -> None:
        """Circuits may have come to sources that are short, or left them."""
        if self._short:
            self.on_view(())

    def demanded_at(self, source_id: str) -> None:
        """A circuit that was only held there is about to carry."""
        known = self._short.get(source_id)
        if known is not None:
            known.stands = _UNKNOWN

    def leaves_short(self, source_id: str) -> bool:
        """Whether a source gives less than its circuits want of it."""
        short = self._short.get(source_id)
        return short is not None and bool(short.circuit_ids)

    def _look_at(self, source_id: str) -> None:
        found = self._view().sources.get(source_id)
        reserved_w = self._reservations.total(source(source_id))
        limit_w = found[1].max_power_w if found is not None else 0.0
        before = self._short.get(source_id)
        stands = (limit_w, reserved_w, self._reservations.promotions)
        if found is None or (
            before is not None
            and before.stands == stands
            and not any(self._carries(source_id, each) for each in before.elsewhere)
        ):
            return
        shares = self._shares(source_id, limit_w) if limit_w < reserved_w else {}
        short = {
            circuit_id: share for circuit_id, share in shares.items() if share < ACTUATED_FRACTION
        }
        were_short = before.circuit_ids if before else set()
        for circuit_id in sorted(were_short | short.keys()):
            self._mark(circuit_id, source_id, short.get(circuit_id))
        if limit_w < reserved_w:
            elsewhere = {each for each in short if not self._carries(source_id, each)}
            self._short[source_id] = _Short(stands, set(short), elsewhere)
        else:
            self._short.pop(source_id, None)
        if short:
            self._note(source_id, f"{len(short)} circuits curtailed", limit_w, reserved_w)
        elif were_short:
            self._note(source_id, "nobody is curtailed any more", limit_w, reserved_w)

    def _carries(self, source_id: str, circuit_id: int) -> bool:
        circuit = self._book.live.get(circuit_id)
        carrying = (circuit.carrying() or circuit.newest()) if circuit is not None else None
        return carrying is not None and carrying.route.source_id == source_id

    def _shares(self, source_id: str, limit_w: float) -> Mapping[int, float]:
        """What part of its power each circuit at a source gets; standbys and holds, not demanded, want nothing."""
        live = self._book.live
        wanted_w = self._reservations.working_by_circuit(source(source_id))
        circuits = [live[each] for each in wanted_w if each in live and not live[each].is_held]
        circuits.sort(key=_rank)
        held_w = [wanted_w[each.circuit_id] for each in circuits]
        claims = [
            Claim(each_w, each_w * min(1.0, circuit.floor_w / circuit.power_w))
            for circuit, each_w in zip(circuits, held_w, strict=True)
        ]
        granted_w = share_out(limit_w, claims)
        return {
            circuit.circuit_id: granted_w[index] / held_w[index] if held_w[index] else 1.0
            for index, circuit in enumerate(circuits)
        }

    def _mark(self, circuit_id: int, source_id: str, share: float | None) -> None:
        circuit = self._book.circuits.get(circuit_id)
        if circuit is None:
            return
        carrying = circuit.carrying() or circuit.newest()
        # Where it has no more than a standby, or is about to leave, a shortage is none of its power.
        if carrying is None or carrying.route.source_id != source_id:
            share = None
        if share is None and not circuit.left_short_by(source_id):
            return
        curtailed = None
        if share is None and carrying is not None and carrying.route.power_w < circuit.power_w:
            granted_w = carrying.route.power_w
            at_unix_ns = self._book.audit.at_unix_ns
            curtailed = Curtailed(BY_OTHERS, at_unix_ns, circuit.power_w, granted_w)
        if share is not None and carrying is not None:
            by = by_source(source_id)
            before = circuit.curtailed
            since_unix_ns = self._book.audit.at_unix_ns
            if before is not None and before.by == by:
                since_unix_ns = before.since_unix_ns
            granted_w = share * carrying.route.power_w
            curtailed = Curtailed(by, since_unix_ns, circuit.power_w, granted_w)
        if circuit.admin_up and curtailed != circuit.curtailed:
            self._set(circuit, curtailed)
            if circuit_id in self._book.live:
                self._book.persist(circuit)

    def _set(self, circuit: Circuit, curtailed: Curtailed | None) -> None:
        self.changes += 1
        circuit.curtail(curtailed)
        if circuit.curtailed is None:
            self.circuit_ids.discard(circuit.circuit_id)
        else:
            self.circuit_ids.add(circuit.circuit_id)

    def _note(self, source_id: str, decided: str, limit_w: float, reserved_w: float) -> None:
        self._book.audit.note(
            "curtail",
            source_id,
            decided,
            f"source {source_id} gives {format_power(limit_w)}, and {format_power(reserved_w)} of"
            " it are reserved",
        )


def _rank(circuit: Circuit) -> tuple[int, int]:
    return rank(circuit.priority, circuit.circuit_id)
