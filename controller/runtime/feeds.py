"""Feeds: the one hub of listeners, to whom effects of the core are published (observer pattern)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, ParamSpec

from controller.core.effects import CircuitChanged, RoomWanted, TableRead, TopologyChanged

P = ParamSpec("P")


class Feed(Generic[P]):
    """Listeners to one kind of news, called in the loop, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._listeners: dict[Callable[P, None], None] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribe(self, listener: Callable[P, None]) -> None:
        self._listeners[listener] = None

    def unsubscribe(self, listener: Callable[P, None]) -> None:
        self._listeners.pop(listener, None)

    @contextmanager
    def subscribed(self, listener: Callable[P, None]) -> Iterator[None]:
        self.subscribe(listener)
        try:
            yield
        finally:
            self.unsubscribe(listener)

    def publish(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for listener in tuple(self._listeners):
            listener(*args, **kwargs)


class Feeds:
    """``circuits`` are told the id of each that changed, ``tables`` each TableRead; ``topology`` and ``roles`` only
    that something did, ``room`` that it is wanted. After a change of roles the core is another one: who looks at it
    must look anew.
    """

    def __init__(self) -> None:
        self.circuits: Feed[[int]] = Feed()
        self.topology: Feed[[]] = Feed()
        self.tables: Feed[[TableRead]] = Feed()
        self.roles: Feed[[]] = Feed()
        self.room: Feed[[]] = Feed()

    def publish(self, effect: CircuitChanged | TopologyChanged | TableRead | RoomWanted) -> None:
        match effect:
            case CircuitChanged(circuit_id):
                self.circuits.publish(circuit_id)
            case TopologyChanged():
                self.topology.publish()
            case TableRead():
                self.tables.publish(effect)
            case RoomWanted():
                self.room.publish()
