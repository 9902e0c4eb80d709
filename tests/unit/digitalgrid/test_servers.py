import grpc
import pytest

from digitalgrid.client import ControllerUnreachable, RequestRefused
from digitalgrid.client.errors import PowerError
from digitalgrid.client.servers import Attempts, Servers
from tests.support.there import there

AWAY = ControllerUnreachable(grpc.StatusCode.UNAVAILABLE, "not there")
LATE = ControllerUnreachable(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
REFUSED = RequestRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room", reason="NO_CAPACITY")


def standby(leader_address: str) -> RequestRefused:
    return RequestRefused(
        grpc.StatusCode.FAILED_PRECONDITION,
        "another leads",
        reason="NOT_LEADER",
        metadata={"leader": "dgc2", "leader_address": leader_address},
    )


def test_the_leader_that_a_standby_names_is_asked_at_once() -> None:
    servers = Servers("a:1, b:2")
    attempts = Attempts(servers, 10.0, now_s=0.0)
    assert attempts.pause_s(standby("c:3"), 0.1) == 0.0
    assert servers.current == "c:3"
    # It is gone too: back to those that were given.
    attempts.pause_s(AWAY, 0.2)
    assert servers.current == "a:1"


def test_a_leader_is_followed_by_who_knows_one_standby_only() -> None:
    servers = Servers("a:1")
    attempts = Attempts(servers, 10.0, now_s=0.0)
    assert attempts.pause_s(standby("b:2"), 0.0) is not None
    assert servers.current == "b:2"


def test_who_is_sent_to_and_fro_slows_down() -> None:
    servers = Servers("a:1,b:2")
    attempts = Attempts(servers, 60.0, now_s=0.0)
    pauses = [attempts.pause_s(standby(("a:1", "b:2")[k % 2 == 0]), 0.0) for k in range(60)]
    assert pauses[:50] == [0.0] * 50
    assert there(pauses[-1]) > 0.0


def test_all_are_asked_in_turn_and_then_less_and_less_often() -> None:
    servers = Servers("a:1,b:2,c:3")
    attempts = Attempts(servers, 60.0, now_s=0.0)
    asked, pauses = [], []
    for _ in range(7):
        pauses.append(attempts.pause_s(AWAY, 0.0))
        asked.append(servers.current)
    assert asked == ["b:2", "c:3", "a:1", "b:2", "c:3", "a:1", "b:2"]
    assert pauses == [0.0, 0.0, 0.025, 0.05, 0.1, 0.1, 0.1]


@pytest.mark.parametrize("error", [LATE, REFUSED])
def test_what_another_could_not_answer_better_is_the_answer(error: PowerError) -> None:
    servers = Servers("a:1,b:2")
    assert Attempts(servers, 10.0, now_s=0.0).pause_s(error, 0.0) is None
    assert servers.current == "a:1"


def test_the_only_controller_that_is_away_is_not_asked_for_ever() -> None:
    assert Attempts(Servers("a:1"), 10.0, now_s=0.0).pause_s(AWAY, 0.0) is None


def test_the_time_of_a_call_is_kept() -> None:
    attempts = Attempts(Servers("a:1,b:2"), 1.0, now_s=5.0)
    assert attempts.remaining_s(5.75) == 0.25
    assert attempts.pause_s(AWAY, 5.9) == 0.0
    assert attempts.pause_s(AWAY, 5.98) is None
    assert attempts.remaining_s(7.0) == 0.0


def test_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Servers(" , ")


def test_an_overloaded_leader_is_asked_again_when_it_says_so() -> None:
    servers = Servers("a:1,b:2")
    attempts = Attempts(servers, 1.0, now_s=0.0)
    busy = RequestRefused(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", reason="OVERLOADED", retry_after_s=0.1
    )
    pause_s = attempts.pause_s(busy, 0.0)
    assert pause_s is not None
    assert 0.1 <= pause_s <= 0.2
    assert servers.current == "a:1"
    assert attempts.pause_s(busy, 0.95) is None
