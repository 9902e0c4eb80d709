"""Making standbys: a way is found for those that circuits lack, and for those that are to stand in another's place.

A few are searched for in one event, renewals of those that stand among them. What was in vain is tried again once
anything has changed.
"""

from collections import deque
from collections.abc import Callable, Mapping

from controller.core.admission.admission import Admission
from controller.core.admission.standby_search import Standby, StandbySearch
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Generation, Phase, Role
from controller.core.circuits.guarding import SEARCHING
from controller.core.circuits.protection import Protection, ProtectionEvent
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.programming.retries import Retries
from controller.core.promises.standby_renewing import StandbyRenewer, standby_request
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_S

# Searches for standbys in one event, whatever they are for, and the pause to the next: a tenth of the loop's time.
_MAX_SEARCHES = 4
_PAUSE_NS = 20_000_000
# What was in vain is tried again after this at the earliest, once anything has changed.
_RETRY_NS = NS_PER_S
# Where the only ways lead over routers that did not take a standby, they are asked again after this, doubled each time
# in a row up to the longest: one may have missed an order, or be full.
_ASK_AGAIN_NS, _ASK_AGAIN_MOST_NS = NS_PER_S, 16 * NS_PER_S


class StandbyMaker:
    """``retire`` lets go of a standby, and ``tend`` looks after a circuit that has got one."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        reservations: Reservations,
        admission: Admission,
        search: StandbySearch,
        next_admission_seq: Callable[[], int],
        persist: Callable[[Circuit], None],
        note: Callable[[str, str, str, str], None],
        retire: Callable[[Circuit, Generation, str, int], None],
        tend: Callable[[Circuit, int], None],
    ) -> None:
        self._circuits = circuits
        self._reservations = reservations
        self._admission = admission
        self._search = search
        self._next_admission_seq = next_admission_seq
        self._persist = persist
        self._note = note
        self._retire = retire
        self._tend = tend
        self._renewer = StandbyRenewer(
            circuits=circuits,
            reservations=reservations,
            admission=admission,
            search=search,
            make=self._make,
            retire=retire,
            tend=tend,
        )
        # Reserved, and not told to routers yet.
        self.held_back: set[CircuitGeneration] = set()
        # Circuits that want a standby, in this order; and why those want another that have one.
        self._to_search: deque[int] = deque()
        self._to_replace: dict[int, str] = {}
        # With what stood then: circuits for which there was no way.
        self._in_vain: dict[int, tuple[int, int]] = {}
        # Of the former those that no other path would help: every way needs one and the same link or router, or leads
        # over routers that would not take a standby, which are asked again then.
        self._bridged: set[int] = set()
        self._ask_again: Retries[int] = Retries(_ASK_AGAIN_NS, _ASK_AGAIN_MOST_NS)
        self._search_at_ns = 0
        self._retry_at_ns: int | None = None
        # How things stood when somebody was last to be tried again.
        self._known: tuple[int, int] | None = None

    def next_deadline_ns(self) -> int | None:
        search_at_ns = self._search_at_ns if self._any_to_search else None
        due = (
            *(search_at_ns, self._retry_at_ns),
            *(self._ask_again.next_ns(), self._renewer.next_deadline_ns()),
        )
        return min((each for each in due if each is not None), default=None)

    @property
    def _any_to_search(self) -> bool:
        return bool(self._to_search) or self._renewer.any_to_renew

    @property
    def views(self) -> int:
        """How many views were adopted."""
        return self._renewer.views

    def adopt_view(self) -> None:
        """The network has changed, or what is drained there."""
        self._renewer.views += 1

    # Wanted

    def look_at(self, circuit: Circuit, now_ns: int) -> None:
        """See whether a circuit that carries lacks a standby, or room to fill it, or another source for it."""
        circuit_id, standbys = circuit.circuit_id, circuit.standbys()
        if not standbys and circuit_id not in self._in_vain:
            self._want(circuit_id)
        if any(each.phase is Phase.COMMITTED for each in standbys):
            self._ask_again.succeeded(circuit_id)
        if self._renewer.look_at(circuit):
            self._retry_soon(now_ns)

    def replace(self, circuit: Circuit, reason: str, now_ns: int) -> None:
        """Its only standby is to go once another stands in its place, or at once where there is no way for another."""
        if len(circuit.standbys()) == 1:
            self._to_replace[circuit.circuit_id] = reason
            self._want(circuit.circuit_id)

    def without_way(self) -> list[int]:
        """Ids of circuits that there is no standby for beside their path, and might be beside another."""
        return [each for each in self._in_vain if each not in self._bridged]

    @property
    def any_without_way(self) -> bool:
        return len(self._in_vain) > len(self._bridged)

    def _want(self, circuit_id: int) -> None:
        if circuit_id not in self._to_search:
            self._to_search.append(circuit_id)

    def did_not_fill(self, circuit: Circuit, standby: Generation, now_ns: int) -> None:
        """It was to replace another, which stays."""
        self._renewer.did_not_fill(circuit, standby, now_ns)

    def forget(self, circuit: Circuit) -> None:
        """It wants no standby any more."""
        for of in (self._in_vain, self._to_replace):
            of.pop(circuit.circuit_id, None)
        self._bridged.discard(circuit.circuit_id)
        self._ask_again.drop(circuit.circuit_id)
        self._renewer.forget(circuit.circuit_id)

    def end(self, circuit: Circuit) -> None:
        """It is released: its standbys go, also those that no router was told of."""
        self.forget(circuit)
        self.held_back.difference_update(each.key for each in circuit.generations.values())

    def look(self, now_ns: int) -> None:
        """See whether there may be a way or room by now for those that there was none for; changes that come together
        are answered once.
        """
        stands = self._renewer.stands()
        if (self._in_vain or self._renewer.any_waiting) and stands != self._known:
            self._known = stands
            self._retry_soon(now_ns)

    def _retry_soon(self, now_ns: int) -> None:
        self._retry_at_ns = self._retry_at_ns or now_ns + _RETRY_NS

    # In turn

    def on_timer(self, now_ns: int) -> None:
        if self._retry_at_ns is not None and now_ns >= self._retry_at_ns:
            self._retry_at_ns = None
            again = self._worth_another_try()
            self._bridged.difference_update(again)
            self._to_search.extend(again)
            self._renewer.try_again()
        for circuit_id in self._ask_again.take_due(now_ns):
            if self._in_vain.pop(circuit_id, None) is not None:
                self._bridged.discard(circuit_id)
                self._want(circuit_id)
        for circuit_id in self._renewer.have_made_way(now_ns):
            self._want(circuit_id)
        self._renewer.look_elsewhere_again(now_ns)
        if self._any_to_search and now_ns >= self._search_at_ns:
            self._search_some(now_ns)

    def _worth_another_try(self) -> list[int]:
        stands = self._renewer.stands()
        again = [key for key, before in self._in_vain.items() if before != stands]
        for key in again:
            del self._in_vain[key]
        return again

    def _search_some(self, now_ns: int) -> None:
        """A few searches; one in vain is followed by others that say why, so none comes after it for who lacks one.

        One of them is a renewal where any waits, however many lack a standby.
        """
        renewals, left = int(self._renewer.any_to_renew), _MAX_SEARCHES
        while left > renewals and self._to_search:
            left -= 1
            circuit = self._circuits.get(self._to_search.popleft())
            if circuit is not None and not self._searched(circuit, now_ns):
                left = renewals
        self._renewer.renew_some(left, now_ns)
        self._search_at_ns = now_ns + _PAUSE_NS

    def _searched(self, circuit: Circuit, now_ns: int) -> bool:
        """Whether the circuit has a standby by now, or does not want one."""
        newest, guard = circuit.newest(), circuit.guard
        why = self._to_replace.pop(circuit.circuit_id, "")
        old = circuit.standby()
        wants = guard.against is not None and circuit.admin_up and _lacks(circuit, replaced=why)
        if not wants or newest is None or newest.phase is not Phase.CARRYING:
            return True
        if circuit.sink_id not in self._admission.view.loads:
            return True
        if self._renewer.is_made_way_for(circuit):
            return True
        request = standby_request(circuit, newest.route.power_w)
        self._renewer.note_search(circuit)
        standby = self._search.beside(
            newest.route,
            request,
            circuit_id=circuit.circuit_id,
            excluded_ids=guard.excluded_ids,
            instead_of=old.key if old is not None else None,
        )
        if standby is not None:
            self._make(circuit, standby, why or guard.reason, now_ns)
            return True
        if old is not None:
            self._retire(circuit, old, why, now_ns)
            self._tend(circuit, now_ns)
            return False
        if any(_holds_on(each) for each in circuit.retiring()):
            # What that holds may be just what is lacking; it is searched again when it is gone.
            return True
        self._no_way(circuit, newest.route, request, now_ns)
        return False

    # Made, or not

    def hold(self, circuit: Circuit, standby: Standby) -> None:
        """The standby was admitted with its circuit; its routers hear of it when that delivers."""
        self._renewer.note_search(circuit)
        self._hold(circuit, standby)

    def _hold(self, circuit: Circuit, standby: Standby) -> Generation:
        seq, version = self._next_admission_seq(), self._admission.view.version
        generation = circuit.next_generation(
            seq, standby.route, version, role=Role.STANDBY, covers=standby.covers
        )
        circuit.generations[generation.key.generation] = generation
        self.held_back.add(generation.key)
        return generation

    def _make(self, circuit: Circuit, standby: Standby, why: str, now_ns: int) -> None:
        circuit.guard.apply_if_possible(ProtectionEvent.FOUND)
        generation = self._hold(circuit, standby)
        self._reservations.reserve(generation.key, standby.route, standby.covers, standby=True)
        over = " ".join(standby.route.router_ids)
        self._note(
            "protect",
            str(circuit.circuit_id),
            f"standby, generation {generation.key.generation} over {over}",
            "" if why == SEARCHING else why,
        )
        self._persist(circuit)
        self._tend(circuit, now_ns)

    def _no_way(self, circuit: Circuit, working: Route, request: PowerRequest, now_ns: int) -> None:
        """Say what binds; search again once anything has changed."""
        guard, circuit_id = circuit.guard, circuit.circuit_id
        self._in_vain[circuit_id] = self._renewer.stands()
        reason, lasts = self._why_not(circuit, working, request)
        if guard.excluded_ids:
            self._ask_again.failed(circuit_id, now_ns)
            guard.excluded_ids = frozenset()
        (self._bridged.add if lasts else self._bridged.discard)(circuit_id)
        known = guard.word is Protection.LOST and guard.reason == reason
        if not known:
            if not guard.apply_if_possible(ProtectionEvent.NO_WAY, reason):
                guard.explain(reason)
            self._note("protect", str(circuit.circuit_id), "no standby", reason)
            self._persist(circuit)

    def _why_not(self, circuit: Circuit, working: Route, request: PowerRequest) -> tuple[str, bool]:
        """What binds, and whether it would beside any other path as well."""
        if refused := sorted(circuit.guard.excluded_ids):
            return (
                f"no way for its standby avoids {', '.join(refused)}, which did not take it",
                True,
            )
        unsupported = self._search.unsupported(working, request, circuit.circuit_id)
        if unsupported:
            return unsupported, False
        refusal = self._search.why_not(working, request, circuit.circuit_id)
        return str(refusal), refusal.reason is Reason.PROTECTION_IMPOSSIBLE


def _lacks(circuit: Circuit, *, replaced: str) -> bool:
    """Whether it has no standby, or a single one that is to be replaced."""
    return len(circuit.standbys()) < (2 if replaced else 1)


def _holds_on(retiring: Generation) -> bool:
    """Whether what is on its way out is about to be gone: a dead path, which was left, may hold on for long."""
    return retiring.role is Role.STANDBY or retiring.phase is Phase.DRAINING
