"""Conversations with a server: what is asked for a call, and what its answers come to, said once for both clients.

A conversation is a generator. It yields steps, one after another, is sent what came of each, or has its error raised
within, and returns what the call returns. :class:`~.asking.BlockingClient` takes steps in a thread,
:class:`~.asking_async.AsyncClient` in a loop.
"""

import inspect
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, Protocol, TypeVar, get_args


class Connected(Protocol):
    """A channel, beside whatever services there are on it."""

    channel: Any


A = TypeVar("A")
F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=Connected)
# A call of one of a connection's services, chosen once it is known whom to ask.
Method = Callable[[C], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of whoever leads; its answer comes back."""

    method: Method[Any]
    request: Any


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing, for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stream(Generic[A]):
    """Answers without end, each read as any number of what the caller wants."""

    method: Method[Any]
    request: Any
    read: Callable[[Any], Iterable[A]]
    # None: as long as the caller wants.
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A stream until it has said enough; whether it has comes back, for it may also end before."""

    stream: Stream[Any]
    enough: Callable[[Any], bool]


Step = Ask | Pause | Watch
Conversation = Generator[Step, Any, A]


def ask(method: Method[Any], request: Any) -> Conversation[Any]:
    """One answer."""
    return (yield Ask(method, request))


def following(page: Any, method: Method[Any], request: Any) -> Conversation[list[Any]]:
    """All pages after one."""
    pages = []
    while page.next_page_token:
        request.page_token = page.next_page_token
        page = yield Ask(method, request)
        pages.append(page)
    return pages


def rows(
    method: Method[Any], request: Any, of: Callable[[Any], Iterable[A]], most: int | None = None
) -> Conversation[list[A]]:
    """What pages hold: so much, or all there is; no page is asked for that is not needed."""
    found: list[A] = []
    while most is None or len(found) < most:
        page = yield Ask(method, request)
        found.extend(of(page))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    return found[:most]


def as_it_is(answer: A) -> tuple[A]:
    """For streams whose answers are wanted as they are."""
    return (answer,)


def documented(call: F, make: Callable[..., Any], kind: Any = None) -> F:
    """A client's method, as people are shown it: with the words and arguments of the conversation, or the stream, that
    it is made of, and what that comes to, or a ``kind`` of iterator over it.
    """
    update_wrapper(call, make)
    signature = inspect.signature(make)
    answer = get_args(signature.return_annotation)[-1]
    shown = signature.replace(return_annotation=kind[answer] if kind else answer)
    call.__signature__ = shown  # type: ignore[attr-defined]
    return call
