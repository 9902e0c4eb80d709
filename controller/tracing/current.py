"""The traced call that a task is in, if it is in one; known without any library."""

from contextvars import ContextVar

# A span, of whoever traces; and the id of its trace, as W3C writes it.
CALL: ContextVar[object] = ContextVar("traced_call", default=None)
TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")


def traced_call() -> object:
    return CALL.get()


def traced_id() -> str:
    return TRACE_ID.get()
