"""Ways out of what is drained: over which route a circuit leaves it and with how much of its power, or what binds."""

from collections.abc import Iterable

from controller.core.admission.admission import Admission
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.route import Route
from controller.core.network.admin import AdminWords, Block, Hindrance
from controller.core.promises.mover import Mover
from digitalgrid.reasons import Reason
from digitalgrid.units import format_power


class WaysOut:
    """Judged as things are reserved; ``ids`` are what a circuit is to leave, all of it being drained."""

    def __init__(self, admission: Admission, mover: Mover, words: AdminWords) -> None:
        self._admission = admission
        self._mover = mover
        self._words = words

    def route(self, circuit: Circuit, ids: Iterable[str]) -> Route | None:
        """With as much power as it may; None where there is none."""
        ways = (self._mover.rerouting.find(circuit, each) for each in self._powers_w(circuit, ids))
        return next((each for each in ways if each is not None), None)

    def _powers_w(self, circuit: Circuit, ids: Iterable[str]) -> list[float]:
        """All of its power, what it has of that, and its floor where there is leave to curtail."""
        newest = circuit.newest()
        powers_w = [circuit.power_w, newest.route.power_w if newest is not None else 0.0]
        if all(self._words.all[each].curtail for each in ids):
            powers_w.append(circuit.floor_w)
        return sorted({each for each in powers_w if each > 0.0}, reverse=True)

    def why_not(self, circuit: Circuit, ids: Iterable[str]) -> Block:
        """What binds, of the least power with which it may leave."""
        if circuit.sink_id not in self._admission.view.loads:
            text = f"no router has its load {circuit.sink_id!r} just now"
            return Block(circuit.circuit_id, Hindrance.ROUTER_AWAY, text)
        power_w, floor_w = self._powers_w(circuit, ids)[-1], circuit.floor_w
        refusal = self._admission.explain_change(circuit, power_w)
        constrained = refusal.reason is Reason.CONSTRAINTS_UNSATISFIABLE
        why = Hindrance.CONSTRAINTS if constrained else Hindrance.NO_ROOM
        text = str(refusal)
        if power_w < circuit.power_w:
            text = f"not even with {format_power(power_w)} of its power: {text}"
        if 0.0 < floor_w < power_w and self._mover.rerouting.find(circuit, floor_w) is not None:
            text += f"; with its floor of {format_power(floor_w)} it could, by --curtail"
        return Block(circuit.circuit_id, why, text)
