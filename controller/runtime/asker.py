"""Who is being answered: set by the edge at the begin of a call, read when its decisions are noted."""

from contextvars import ContextVar

from controller.core.book.audit import CONTROLLER

ASKER: ContextVar[str] = ContextVar("asker", default=CONTROLLER)
