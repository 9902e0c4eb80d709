"""Two ends of a line agree whether it is up."""

from digitalgrid.model import DownCause
from router_agent.device.adjacency import Adjacency, Verdict

DEAD_NS = 170


class End:
    def __init__(self, boot_id: int) -> None:
        self.adjacency = Adjacency(boot_id, DEAD_NS)
        self.adjacency.set_carrier(True)
        self.seq = 0

    def says(self) -> tuple[int, int, int]:
        self.seq += 1
        return self.adjacency.discriminator, self.adjacency.neighbor_discriminator, self.seq

    def hears(self, said: tuple[int, int, int], now_ns: int = 0) -> Verdict:
        discriminator, echoed, seq = said
        verdict = self.adjacency.judge(discriminator, echoed, seq, now_ns)
        if verdict is not Verdict.STALE:
            self.adjacency.hear(verdict, discriminator, seq, now_ns)
        return verdict


def joined() -> tuple[End, End]:
    a, b = End(1), End(1)
    assert b.hears(a.says()) is Verdict.HEARD
    assert a.hears(b.says()) is Verdict.TAKEN
    assert b.hears(a.says()) is Verdict.TAKEN
    return a, b


def test_three_frames_bring_both_ends_up() -> None:
    a, b = joined()
    assert a.adjacency.up and b.adjacency.up


def test_without_carrier_nothing_is_heard() -> None:
    a, b = End(1), End(1)
    a.adjacency.set_carrier(False)
    assert a.hears(b.says()) is Verdict.STALE
    assert not a.adjacency.up


def test_losing_carrier_takes_a_new_incarnation_and_the_other_end_with_it() -> None:
    a, b = joined()
    before = a.adjacency.discriminator
    a.adjacency.set_carrier(False)
    a.adjacency.set_carrier(True)
    assert a.adjacency.discriminator > before and not a.adjacency.up
    assert b.hears(a.says()) is Verdict.HEARD
    assert not b.adjacency.up
    assert a.hears(b.says()) is Verdict.TAKEN
    assert b.hears(a.says()) is Verdict.TAKEN


def test_a_silent_neighbour_is_dead_at_the_deadline() -> None:
    a, b = joined()
    a.hears(b.says(), now_ns=1000)
    assert a.adjacency.deadline_ns() == 1000 + DEAD_NS
    a.adjacency.expire(1000 + DEAD_NS - 1)
    assert a.adjacency.up
    a.adjacency.expire(1000 + DEAD_NS)
    assert not a.adjacency.up and a.adjacency.deadline_ns() is None


def test_a_one_way_fault_brings_both_ends_down_and_keeps_them_down() -> None:
    a, b = joined()
    a.adjacency.expire(DEAD_NS)
    for _ in range(3):
        assert b.hears(a.says()) is Verdict.HEARD
        b.says()  # lost
        assert not a.adjacency.up and not b.adjacency.up


def test_an_end_says_why_its_line_is_down() -> None:
    a, b = joined()
    assert a.adjacency.down_cause is None
    a.adjacency.expire(DEAD_NS)
    assert a.adjacency.down_cause is DownCause.SILENT
    b.hears(a.says())
    assert b.adjacency.down_cause is DownCause.FAR_END
    a.adjacency.set_carrier(False)
    assert a.adjacency.down_cause is DownCause.CARRIER_LOST
    a.adjacency.set_carrier(True)
    assert a.adjacency.down_cause is DownCause.NOT_HEARD
    a.hears(b.says())
    assert a.adjacency.up and a.adjacency.down_cause is None


def test_repeated_and_late_frames_are_stale() -> None:
    a, b = joined()
    first, second = a.says(), a.says()
    assert b.hears(second) is Verdict.TAKEN
    assert b.hears(first) is Verdict.STALE
    assert b.hears(second) is Verdict.STALE


def test_a_frame_of_a_former_life_does_not_disturb() -> None:
    a, b = joined()
    late = a.says()
    reborn = End(2)
    b.hears(reborn.says())
    reborn.hears(b.says())
    assert b.hears(reborn.says()) is Verdict.TAKEN
    assert b.hears(late) is Verdict.STALE
    assert b.adjacency.up


def test_a_neighbour_that_lost_its_state_is_heard_again_once_it_was_dead() -> None:
    a, b = End(9), End(1)
    b.hears(a.says())
    a.hears(b.says())
    b.hears(a.says())
    reborn = End(1)
    assert b.hears(reborn.says()) is Verdict.STALE
    b.adjacency.expire(DEAD_NS)
    assert b.hears(reborn.says()) is Verdict.HEARD
    assert reborn.hears(b.says()) is Verdict.TAKEN
    assert b.hears(reborn.says()) is Verdict.TAKEN


def test_a_neighbour_may_be_late_by_the_leeway() -> None:
    a, b = joined()
    a.hears(b.says(), now_ns=1000)
    assert a.adjacency.deadline_ns(30) == 1000 + DEAD_NS + 30
    a.adjacency.expire(1000 + DEAD_NS + 29, 30)
    assert a.adjacency.up
    a.adjacency.expire(1000 + DEAD_NS + 30, 30)
    assert not a.adjacency.up


def test_a_neighbour_that_lost_its_state_is_heard_again_after_a_silence() -> None:
    a, b = joined()
    b.seq = 1000
    assert a.hears(b.says(), 10) is Verdict.TAKEN
    wiped = End(1)
    assert a.hears(wiped.says(), 20) is Verdict.STALE
    a.adjacency.expire(10 + DEAD_NS)
    assert a.hears(wiped.says(), 10 + DEAD_NS) is Verdict.HEARD
    assert wiped.hears(a.says()) is Verdict.TAKEN
    assert a.hears(wiped.says(), 200) is Verdict.TAKEN


def test_a_pulse_under_the_number_of_the_last_frame_says_that_its_sender_lives() -> None:
    a, b = joined()
    a.hears(b.says(), now_ns=1000)
    discriminator, echoed = b.adjacency.discriminator, b.adjacency.neighbor_discriminator
    assert not a.adjacency.pulsed(discriminator, echoed, b.seq - 1, now_ns=1050)
    assert not a.adjacency.pulsed(discriminator + 1, echoed, b.seq, now_ns=1050)
    assert not a.adjacency.pulsed(discriminator, echoed - 1, b.seq, now_ns=1050)
    assert a.adjacency.deadline_ns() == 1000 + DEAD_NS
    assert a.adjacency.pulsed(discriminator, echoed, b.seq, now_ns=1100)
    assert a.adjacency.deadline_ns() == 1100 + DEAD_NS
    # It is no frame: the next one counts as ever.
    assert a.hears(b.says(), now_ns=1200) is Verdict.TAKEN


def test_a_pulse_brings_no_line_up_that_is_down() -> None:
    a, b = joined()
    a.adjacency.expire(DEAD_NS)
    echoed = b.adjacency.neighbor_discriminator
    assert not a.adjacency.pulsed(b.adjacency.discriminator, echoed, b.seq, now_ns=DEAD_NS)
    assert not a.adjacency.up
