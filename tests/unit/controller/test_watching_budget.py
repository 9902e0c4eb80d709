"""What watching may cost: a share of a busy loop, more of an idle one, and at once what is urgent."""

import asyncio
import time

from controller.watching.budget import IDLE_SHARE, SHARE, Budget
from controller.watching.gate import MESSAGE_S, Gate
from controller.watching.thread_times import ThreadTimes, thread_times
from tests.support.northbound import in_loop

# Rounds of work (s), from one message to a look at a large network.
WORKS_S = (80e-6, 1e-3, 8e-3, 30e-3)


class Clock:
    """A loop that works ``busy`` of the time for others, and all that it is told for watchers.

    On a ``crowded`` machine each second of its work has waited so many for a processor.
    """

    def __init__(self, busy: float, crowded: float = 0.0) -> None:
        self.busy = busy
        self.crowded = crowded
        self.now_s = self.worked_s = 0.0
        self.budget = Budget(lambda: self.now_s, self.times)

    def times(self) -> ThreadTimes:
        return ThreadTimes(self.worked_s, self.crowded * self.worked_s)

    def pass_s(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.worked_s += self.busy * duration_s

    def work(self, work_s: float) -> None:
        self.now_s += work_s
        self.worked_s += work_s
        self.budget.charge(work_s)

    def work_for(self, duration_s: float, work_s: float, *, urgent: bool = False) -> float:
        """The share that is worked where there is always something to do."""
        end_s, before_s = self.now_s + duration_s, self.budget.worked_s
        while self.now_s < end_s:
            self.pass_s(self.budget.wait_s(urgent=urgent) or 1e-6)
            if self.budget.wait_s(urgent=urgent) == 0.0:
                self.work(work_s)
        return (self.budget.worked_s - before_s) / duration_s


def test_a_busy_loop_gives_its_share_and_no_more_however_large_a_piece_of_work_is() -> None:
    for work_s in WORKS_S:
        clock = Clock(busy=0.9)
        clock.work_for(1.0, work_s)
        assert 0.8 * SHARE < clock.work_for(30.0, work_s) < 1.3 * SHARE


def test_on_a_crowded_machine_it_is_the_share_of_what_the_loop_gets() -> None:
    # It works three tenths of the time, and waits for a processor for six.
    clock = Clock(busy=0.3, crowded=2.0)
    clock.work_for(1.0, 1e-3)
    assert 0.25 * SHARE < clock.work_for(30.0, 1e-3) < 0.55 * SHARE


def test_what_is_urgent_overdraws_once_and_is_held_to_the_share_then() -> None:
    clock = Clock(busy=0.9)
    clock.work_for(1.0, 1e-3)
    begun_s = clock.budget.worked_s
    while clock.budget.wait_s(urgent=True) == 0.0:
        clock.work(1e-3)
    assert 0.09 < clock.budget.worked_s - begun_s < 0.12
    assert clock.budget.wait_s(urgent=False) > 1.0
    assert clock.work_for(30.0, 1e-3, urgent=True) < 1.2 * SHARE


def test_an_idle_loop_gives_more_and_soon_less_once_it_is_busy() -> None:
    clock = Clock(busy=0.05)
    clock.work_for(1.0, 1e-3)
    assert clock.work_for(10.0, 1e-3) > 0.8 * IDLE_SHARE
    clock.busy = 0.9
    clock.work_for(0.3, 1e-3)
    assert clock.work_for(10.0, 1e-3) < 1.2 * SHARE


def test_a_loop_that_a_crowded_machine_holds_up_is_as_busy_as_one_that_works() -> None:
    held_up = Clock(busy=0.2, crowded=3.0)
    held_up.work_for(1.0, 1e-3)
    assert held_up.work_for(10.0, 1e-3) < 1.2 * SHARE


def test_a_thread_computes_and_does_not_wait_for_ever() -> None:
    before = thread_times()
    while time.thread_time() < before.computed_s + 0.01:
        pass
    after = thread_times()
    assert after.computed_s >= before.computed_s + 0.01
    assert after.waited_s >= before.waited_s >= 0.0


def test_after_a_quiet_time_a_change_reaches_many_at_once_and_no_credit_grows() -> None:
    clock = Clock(busy=0.9)
    clock.pass_s(3600.0)
    told = 0
    while clock.budget.wait_s(urgent=False) == 0.0:
        clock.work(80e-6)
        told += 1
    assert 50 < told < 100


@in_loop
async def test_a_closed_gate_opens_by_itself_and_at_once_to_what_has_become_urgent() -> None:
    clock = Clock(busy=0.9)
    gate = Gate(clock.budget)
    clock.pass_s(1.0)
    clock.work(0.05)
    urgent = False
    late = asyncio.ensure_future(gate.enter(lambda: False))
    early = asyncio.ensure_future(gate.enter(lambda: urgent))
    await asyncio.sleep(0)
    assert not early.done()
    urgent = True
    gate.look_again()
    await early
    assert not late.done()
    clock.pass_s(10.0)
    gate.look_again()
    await late
    assert gate.send(b"") == b""
    assert gate.messages == 1
    assert gate.worked_s == 0.05 + MESSAGE_S


@in_loop
async def test_of_many_who_wait_as_many_go_on_as_there_is_room_for_in_the_order_of_coming() -> None:
    clock = Clock(busy=0.9)
    gate = Gate(clock.budget)
    clock.pass_s(1.0)
    clock.work(0.05)
    passed: list[int] = []

    async def tell(number: int) -> None:
        await gate.enter(lambda: False)
        gate.send(b"")
        passed.append(number)

    waiting = [asyncio.ensure_future(tell(number)) for number in range(100)]
    await asyncio.sleep(0)
    clock.pass_s(10.0)
    gate.look_again()
    for _ in range(10):
        await asyncio.sleep(0)
    # What is saved in a quiet time is room for so many messages.
    assert passed == list(range(len(passed)))
    assert 75 <= len(passed) <= 80
    # Whoever gives up takes nobody's place.
    waiting.pop(90).cancel()
    clock.pass_s(10.0)
    gate.look_again()
    await asyncio.gather(*waiting)
    assert passed == [each for each in range(100) if each != 90]
