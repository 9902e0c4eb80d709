"""Declared circuits, applied by whoever is killed at any moment: once more, and all is as declared, each thing once."""

from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dgctl.batch import BatchEntry
from dgctl.declared import DeclaredFile, Step, Verb, plan_of
from digitalgrid.v1 import northbound_pb2 as pb

entries = st.builds(
    BatchEntry,
    sink_id=st.sampled_from(["town", "works"]),
    power_w=st.sampled_from([1e6, 2e6]),
    hold_priority=st.sampled_from([None, 3]),
    request_id=st.sampled_from(["a", "b"]),
)
files = st.lists(entries, max_size=2, unique_by=lambda each: each.request_id).map(
    lambda some: DeclaredFile(tuple(some))
)


class Circuits:
    """What a controller remembers: requests by id, each of which it admits once, as one circuit or as several."""

    def __init__(self, parts: int) -> None:
        self.known: list[pb.Circuit] = []
        self._parts = parts

    @property
    def standing(self) -> list[pb.Circuit]:
        return [each for each in self.known if each.state == pb.CIRCUIT_STATE_ACTIVE]

    def admit(self, request: pb.PowerRequest) -> None:
        assert request.request_id not in {each.request_id for each in self.known}
        for _ in range(self._parts):
            self.known.append(
                pb.Circuit(
                    circuit_id=len(self.known) + 1,
                    request_id=request.request_id,
                    state=pb.CIRCUIT_STATE_ACTIVE,
                    sink_id=request.sink_id,
                    power_w=request.power_w / self._parts,
                    hold_priority=request.hold_priority,
                )
            )

    def apply(self, file: DeclaredFile) -> Iterator[None]:
        """One word to the controller after another; whoever stops between two was killed there."""
        for step in plan_of(file, self.known, prune=False).changes:
            yield from self._do(step)

    def _do(self, step: Step) -> Iterator[None]:
        if step.verb is Verb.CHANGE:
            (circuit,) = step.circuits
            circuit.power_w = step.power_w
            yield
            return
        if step.request is not None:
            self.admit(step.request)
            yield
        if step.verb is not Verb.CREATE:
            for circuit in step.circuits:
                circuit.state = pb.CIRCUIT_STATE_WITHDRAWN
                yield


@settings(max_examples=200)
@given(
    stories=st.lists(st.tuples(files, st.integers(0, 4)), max_size=4),
    last=files,
    words=st.integers(0, 6),
    parts=st.integers(1, 2),
)
@example(
    # A replacement that is killed when the new circuit is there, and the old one too.
    stories=[(DeclaredFile((BatchEntry("town", 1e6, request_id="a"),)), 4)],
    last=DeclaredFile((BatchEntry("works", 1e6, request_id="a"),)),
    words=1,
    parts=1,
)
def test_whoever_is_killed_while_it_applies_leaves_nothing_that_applying_again_does_not_mend(
    stories: list[tuple[DeclaredFile, int]], last: DeclaredFile, words: int, parts: int
) -> None:
    circuits = Circuits(parts)
    for file, number in stories:
        killed_after(number, circuits.apply(file))
    made = len(circuits.known)
    killed_after(words, circuits.apply(last))
    for _ in circuits.apply(last):
        pass
    assert not plan_of(last, circuits.known, prune=False).changes
    # What was asked for before the kill is not asked for again.
    assert len(circuits.known) - made <= parts * len(last.circuits)
    for entry in last.circuits:
        of_entry = [
            each for each in circuits.standing if each.request_id.split("#")[0] == entry.request_id
        ]
        assert len({each.request_id for each in of_entry}) == 1
        assert sum(each.power_w for each in of_entry) == entry.power_w
        assert {each.sink_id for each in of_entry} == {entry.sink_id}


def killed_after(words: int, applied: Iterator[None]) -> None:
    for _ in range(words):
        next(applied, None)
