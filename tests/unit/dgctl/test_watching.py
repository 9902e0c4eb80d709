from collections.abc import Iterator

import grpc
import pytest

from dgctl.watching import watched
from digitalgrid.client import ControllerUnreachable, RequestRefused

GONE = ControllerUnreachable(grpc.StatusCode.UNAVAILABLE, "gone")


class PlayedController:
    """Each watch of it is one line of the script: events, and then an error or the end."""

    def __init__(self, *script: tuple[int | Exception, ...]) -> None:
        self._script = iter(script)
        self.said: list[str] = []

    def watch(self) -> Iterator[int]:
        for event in next(self._script):
            if isinstance(event, Exception):
                raise event
            yield event

    def watched(self) -> Iterator[int]:
        return watched(self.watch, self.said.append, retry_s=0.0)


def test_a_controller_that_was_there_is_waited_for_and_each_outage_is_said_once() -> None:
    played = PlayedController((1, 2, GONE), (GONE,), (GONE,), (1, 3, GONE), (4,))
    assert list(played.watched()) == [1, 2, 1, 3, 4]
    lost = "connection lost (UNAVAILABLE: gone); waiting for it"
    again = "connected again; everything follows anew"
    assert played.said == [lost, again, lost, again]


def test_a_controller_that_never_was_there_is_not_waited_for() -> None:
    played = PlayedController((GONE,))
    with pytest.raises(ControllerUnreachable):
        list(played.watched())
    assert played.said == []


def test_a_refusal_ends_the_watch() -> None:
    refused = RequestRefused(grpc.StatusCode.UNIMPLEMENTED, "no such call")
    played = PlayedController((1, GONE), (refused,))
    with pytest.raises(RequestRefused):
        list(played.watched())
