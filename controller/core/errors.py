"""Why the controller refuses: a canonical code, and details that a client can act on."""

from collections.abc import Mapping
from enum import Enum


class RefusalCode(Enum):
    """Canonical gRPC status codes, by name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"


class Refusal(Exception):
    """A request that is not done, with nothing reserved for it.

    ``reason`` is a constant in UPPER_SNAKE_CASE; ``field`` names what is wrong in the request, if anything is;
    ``metadata`` carries figures and ids (bottleneck link, missing power).
    """

    def __init__(
        self,
        code: RefusalCode,
        reason: str,
        message: str,
        *,
        field: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field
        self.metadata = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Refusals come back from worker processes too."""
        return _refusal, (self.code, self.reason, str(self), self.field, self.metadata)


def _refusal(
    code: RefusalCode, reason: str, message: str, field: str, metadata: Mapping[str, str]
) -> Refusal:
    return Refusal(code, reason, message, field=field, metadata=metadata)


def invalid(field: str, reason: str, message: str) -> Refusal:
    """The request itself is wrong, whatever the state of the network."""
    return Refusal(RefusalCode.INVALID_ARGUMENT, reason, message, field=field)
