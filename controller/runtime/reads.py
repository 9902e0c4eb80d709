"""Reads of what the core knows, by its read model; nothing is changed by them, and nobody waits."""

from collections.abc import Callable, Set
from typing import TypeVar

from controller.core.network.view import GridView
from controller.core.questions import Questions
from controller.core.role import Core
from controller.runtime.leadership import unavailable
from digitalgrid.reasons import Reason

T = TypeVar("T")


class Reads:
    """Read side of the runtime: the network is known at once, the rest once the state was taken over."""

    def __init__(self, core: Core, clock_ns: Callable[[], int]) -> None:
        self._core = core
        # Whether all that is durable is known.
        self._warm = False
        self._clock_ns = clock_ns

    @property
    def view(self) -> GridView:
        """The network as routers tell it, which is known before the state is."""
        return self._core.questions.view

    def registered_router_ids(self) -> Set[str]:
        """Routers that have ever advertised anything, and were not forgotten."""
        return self._core.questions.registered_router_ids()

    def first_device(self, router_id: str) -> bytes:
        """Instance id of the device that was first to have this router id; empty where none is known."""
        return self._core.questions.first_device(router_id)

    @property
    def questions(self) -> Questions:
        """For reads, by whoever knows the state; Refusal until it does."""
        if not self._warm:
            raise unavailable(Reason.STARTING, "this controller does not know the state yet")
        return self._core.questions

    def look(self, question: Callable[[Questions, int], T]) -> T:
        """What is only looked at, and depends on the time."""
        return question(self.questions, self._clock_ns())

    def is_current(self, questions: Questions) -> bool:
        """Whether they are still answered from what is true: not after another state was taken over."""
        return self._core.questions is questions
