"""Journal of watchers, in any order of what happens: whoever reads on to its end knows exactly what there is."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.watching import journal as journal_module
from controller.watching.journal import Journal, Place

KEYS = st.integers(0, 12)
READERS = st.integers(0, 3)


class Reading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.journal: Journal[int] = Journal()
        self.there: dict[int, bytes] = {}
        self.said = 0
        self.urgent: set[int] = set()
        # Of each reader, where it is and what it knows.
        self.places = [Place(0, 0)] * 4
        self.known: list[dict[int, bytes]] = [{} for _ in range(4)]

    @rule(key=KEYS, urgent=st.booleans())
    def say(self, key: int, urgent: bool) -> None:
        self.said += 1
        self.there[key] = b"%d" % self.said
        self.journal.say(key, self.there[key], urgent=urgent)
        (self.urgent.add if urgent else self.urgent.discard)(key)

    @rule(key=KEYS)
    def remove(self, key: int) -> None:
        if key in self.there:
            del self.there[key]
            self.journal.say_gone(key)
            self.urgent.discard(key)

    @rule(reader=READERS, most_bytes=st.integers(0, 8))
    def read(self, reader: int, most_bytes: int) -> None:
        place, known = self.places[reader], self.known[reader]
        if not self.journal.reaches(place):
            self.known[reader] = dict(self.there)
            self.places[reader] = self.journal.end()
            return
        behind = self.journal.newest > place.number
        words, following = self.journal.after(place, most_bytes)
        assert following.number > place.number or not behind or words
        numbers = [word.number for word in words]
        assert len(set(numbers)) == len(numbers)
        # Urgent ones first; each once.
        assert [word.urgent for word in words] == sorted((w.urgent for w in words), reverse=True)
        for word in words:
            if word.said is None:
                known.pop(word.key, None)
            else:
                known[word.key] = word.said
        self.places[reader] = following

    @invariant()
    def who_reads_on_knows_what_there_is(self) -> None:
        assert set(self.journal.present()) == self.there.keys()
        for place, known in zip(self.places, self.known, strict=True):
            if not self.journal.reaches(place):
                continue
            read = dict(known)
            while place.number < self.journal.newest:
                words, place = self.journal.after(place, 4)
                for word in words:
                    if word.said is None:
                        read.pop(word.key, None)
                    else:
                        read[word.key] = word.said
            assert read == self.there


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_is_kept_is_bounded_by_what_there_is() -> None:
    journal: Journal[int] = Journal()
    for number in range(20_000):
        journal.say(number % 10, b"x", urgent=number % 3 == 0)
    assert len(journal._all) <= 2 * 10 + journal_module._SLACK
    assert len(journal._urgent) <= 2 * 10 + journal_module._SLACK
    start = Place(0, 0)
    for number in range(journal_module.MOST_GONE + 10):
        journal.say(1_000 + number, b"x")
        journal.say_gone(1_000 + number)
    assert len(journal) == 10 + journal_module.MOST_GONE
    assert not journal.reaches(start)
    assert journal.reaches(journal.end())
