"""How long a router waits for a processor, and what that makes it allow its neighbours."""

import itertools
from pathlib import Path

import pytest

from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.punctuality import Punctuality
from router_agent.processor import ProcessorWait
from tests.support.device_network import router

CONFIG = router("a", ("ab", "b"))


def test_the_share_is_that_of_the_last_second(tmp_path: Path) -> None:
    schedstat = tmp_path / "schedstat"
    wait = ProcessorWait(schedstat)
    waited_ns = 0
    shares = []
    for tick, now_ns in enumerate(itertools.islice(itertools.count(0, 100 * NS_PER_MS), 40)):
        waited_ns += 80 * NS_PER_MS if 10 <= tick < 25 else 0
        schedstat.write_text(f"{tick} {waited_ns} {tick}\n")
        shares.append(wait.share(now_ns))
    assert shares[9] == 0.0
    assert shares[24] == pytest.approx(0.8)
    assert shares[39] == 0.0


def test_where_the_kernel_does_not_tell_nothing_is_known(tmp_path: Path) -> None:
    schedstat = tmp_path / "schedstat"
    wait = ProcessorWait(schedstat)
    assert wait.share(0) == wait.share(NS_PER_S) == 0.0
    schedstat.write_text("\n")
    assert wait.share(2 * NS_PER_S) == 0.0


def test_this_process_has_a_share_of_its_own() -> None:
    wait = ProcessorWait()
    wait.share(0)
    assert 0.0 <= wait.share(10**18) <= 1.0


def test_a_silence_is_counted_in_the_time_in_which_the_router_could_have_run() -> None:
    punctuality = Punctuality(CONFIG, 0)
    assert punctuality.leeway_ns == 0
    punctuality.note_waiting(0.75)
    assert punctuality.leeway_ns == 3 * CONFIG.dead_ns
    assert punctuality.told_ns == 3 * CONFIG.dead_ns, "its neighbours are to wait for it likewise"


def test_a_router_that_gets_no_time_at_all_waits_for_nobody_for_ever() -> None:
    punctuality = Punctuality(CONFIG, 0)
    punctuality.note_waiting(1.0)
    assert punctuality.leeway_ns == pytest.approx(9 * CONFIG.dead_ns)
