"""The stream of circuits, with conflation: each change is looked at once for all who watch, as the budget allows, and a
watcher is owed the newest state of each circuit that changed since it last read.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import nullcontext

from controller.core.circuits.circuit import Circuit
from controller.core.errors import Refusal
from controller.northbound.circuit_looks import AT_ONCE, CircuitLooks
from controller.northbound.codec import check_ids, circuit_to_pb
from controller.northbound.turns import in_turns
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from controller.watching.journal import Journal, Place
from digitalgrid.reasons import Reason
from digitalgrid.rpc.encoding import varint
from digitalgrid.v1 import northbound_pb2 as pb

# Of an answer with several circuits: well below the 4 MiB that gRPC's clients take if nobody says otherwise.
_MOST_BYTES = 256 * 1024
# Different beginnings of request ids that are watched at a time: of each change it is asked whether its id begins so,
# a fraction of a microsecond for each of them, for which nobody is charged.
MAX_PREFIXES = 32
# Tags of WatchCircuitsResponse.circuit and .circuits: what follows, length and circuit, is the same.
_ONE, _SEVERAL = b"\x0a", b"\x1a"
_DONE = pb.WatchCircuitsResponse(snapshot_done=pb.SnapshotDone()).SerializeToString()


class CircuitFeed:
    """Serialised WatchCircuitsResponses for all who watch; nothing is done while nobody does."""

    def __init__(self, runtime: Runtime, gate: Gate) -> None:
        self._runtime = runtime
        self._gate = gate
        # By what request ids begin with.
        self._told: dict[str, _Told] = {}

    async def watch(self, *, together: bool, prefix: str = "") -> AsyncGenerator[bytes]:
        """All circuits that have not ended, a marker, then each that changes, as it stands when it is told; of requests
        whose ids begin with ``prefix``, or of all while too many others are watched for.

        What is there at first is an answer like any other, and not charged to those who watch.
        """
        check_ids("request_id_prefix", [prefix])
        told = self._join(prefix)
        try:
            place, seen = told.journal.end(), dict[int, bytes]()
            async for answer in told.snapshot(seen, together=together):
                yield answer
            yield _DONE
            most_bytes = _MOST_BYTES if together else 0
            while True:
                await told.news_after(place)
                await self._gate.enter(lambda: told.journal.has_urgent(place))  # noqa: B023
                with (
                    self._gate.working()
                    if told.is_to_make(place, most_bytes, seen)
                    else nullcontext()
                ):
                    answer, place = told.answer(place, most_bytes, seen)
                if answer:
                    yield self._gate.send(answer)
                if told.prefix != prefix and self._has_room(prefix) and told.is_all_told(place):
                    # Who came while there was no room is told apart from now on.
                    self._leave(told)
                    told = self._join(prefix)
                    place = told.journal.end()
        finally:
            self._leave(told)

    def _has_room(self, prefix: str) -> bool:
        """Whether what begins so is watched for, or may be."""
        return prefix in self._told or len(self._told.keys() - {""}) < MAX_PREFIXES

    def _join(self, prefix: str) -> "_Told":
        if not self._has_room(prefix):
            # No refusal: an exchange would be deaf for as long as somebody else watches so many.
            prefix = ""
        told = self._told.get(prefix)
        if told is None or not told.is_current:
            told = self._told[prefix] = _Told(self._runtime, self._gate, prefix)
        told.watchers += 1
        return told

    def _leave(self, told: "_Told") -> None:
        told.watchers -= 1
        if not told.watchers:
            told.close()
            if told is self._told.get(told.prefix):
                del self._told[told.prefix]


class _Told:
    """What is told of the circuits of one state, from the first watcher to the last; another state has another."""

    def __init__(self, runtime: Runtime, gate: Gate, prefix: str) -> None:
        self._runtime = runtime
        self._gate = gate
        self.prefix = prefix
        self._questions = runtime.questions
        self._circuits = self._questions.circuits
        self.journal: Journal[int] = Journal()
        self.watchers = 0
        # Answers to all who are at one place.
        self._answers: dict[Place, tuple[bytes, Place]] = {}
        self._news = asyncio.Event()
        self._looks = CircuitLooks(runtime, gate, self, prefix)
        runtime.feeds.roles.subscribe(self._wake)

    @property
    def is_current(self) -> bool:
        return self._runtime.is_current(self._questions)

    def close(self) -> None:
        self._looks.close()
        self._runtime.feeds.roles.unsubscribe(self._wake)

    async def snapshot(self, seen: dict[int, bytes], *, together: bool) -> AsyncIterator[bytes]:
        """Made in turns; what changes meanwhile is told afterwards, but for what is noted in ``seen``."""
        begun = self.journal.newest

        def tell(circuit_id: int) -> bytes:
            circuit = self._circuits.get(circuit_id)
            if circuit is None or circuit.state.ended or not self._is_told(circuit):
                return b""
            if self._looks.has_changed(circuit_id):
                self._looks.look_at(circuit_id)
                self._wake()
            said = self.journal.said(circuit_id)
            if said is not None and self.journal.newest > begun:
                seen[circuit_id] = said
            return said or _encoded(circuit)

        async for some in in_turns(list(self._circuits), tell):
            said = [each for each in some if each]
            if together and said:
                yield _several(said)
            elif not together:
                for each in said:
                    yield _ONE + each

    def _is_told(self, circuit: Circuit) -> bool:
        return circuit.request_id.startswith(self.prefix)

    async def news_after(self, place: Place) -> None:
        """Refusal once this state is no longer what is true."""
        while True:
            if not self.is_current:
                raise _role_changed()
            if self.journal.newest > place.number:
                return
            await self._news.wait()

    def is_all_told(self, place: Place) -> bool:
        """Whether who is at a place has been told of every change that there was until now."""
        return place.number >= self.journal.newest and not self._looks.any_changed

    def is_to_make(self, place: Place, most_bytes: int, seen: dict[int, bytes]) -> bool:
        """Whether it takes a while to say what follows a place: of several circuits, and nobody was told it yet, or not
        without what was ``seen``.
        """
        return most_bytes > 0 and (bool(seen) or place not in self._answers)

    def answer(self, place: Place, most_bytes: int, seen: dict[int, bytes]) -> tuple[bytes, Place]:
        """What follows a place, the same bytes for all who are there; one circuit where no bytes are allowed for.

        What was ``seen`` already is left out, which leaves nothing to tell at times.
        """
        shared = most_bytes > 0 and not seen
        if shared and place in self._answers:
            return self._answers[place]
        words, following = self.journal.after(place, most_bytes)
        said = [
            word.said
            for word in words
            if word.said is not None and seen.get(word.key) is not word.said
        ]
        if following.number == self.journal.newest:
            seen.clear()
        if not said:
            return b"", following
        if not most_bytes:
            return _ONE + said[0], following
        answer = _several(said), following
        if shared:
            self._answers[place] = answer
        return answer

    def see_circuit(self, circuit_id: int, circuit: Circuit | None, *, urgent: bool) -> None:
        if circuit is None:
            self.journal.forget(circuit_id)
            return
        self.journal.say(circuit_id, _encoded(circuit), urgent=urgent)
        self._answers.clear()

    def seen(self) -> None:
        if len(self.journal) > 2 * len(self._circuits) + AT_ONCE:
            for circuit_id in [
                each for each in self.journal.present() if each not in self._circuits
            ]:
                self._looks.forget(circuit_id)
                self.journal.forget(circuit_id)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _encoded(circuit: Circuit) -> bytes:
    """The circuit behind its length."""
    body = circuit_to_pb(circuit).SerializeToString()
    return varint(len(body)) + body


def _several(said: list[bytes]) -> bytes:
    return _SEVERAL + _SEVERAL.join(said)


def _role_changed() -> Refusal:
    return Refusal(
        Reason.ROLE_CHANGED,
        "this controller's role has changed, and with it what it knows; watch again",
    )
