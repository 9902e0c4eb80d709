"""The traced call that a task is in, if it is in one; known without any library."""

from contextvars import ContextVar

# A span, of whoever traces.
CALL: ContextVar[object] = ContextVar("traced_call", default=None)


def traced_call() -> object:
    return CALL.get()
