"""Refusal: what the controller does not do, why, and details that a client can act on."""

from collections.abc import Mapping

from digitalgrid.reasons import Reason, RefusalCode


class Refusal(Exception):
    """A request that is not done, with nothing reserved for it.

    ``field`` names what is wrong in the request, if anything is; ``metadata`` carries figures and ids (bottleneck
    link, missing power); ``noted``: whether the audit trail knows of it.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        field: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field
        self.metadata = dict(metadata or {})
        self.noted = False

    @property
    def code(self) -> RefusalCode:
        """The gRPC status."""
        return self.reason.code

    def __reduce__(self) -> tuple[object, ...]:
        """Refusals come back from worker processes too."""
        return _refusal, (self.reason, str(self), self.field, self.metadata)


def _refusal(reason: Reason, message: str, field: str, metadata: Mapping[str, str]) -> Refusal:
    return Refusal(reason, message, field=field, metadata=metadata)


def invalid(field: str, reason: Reason, message: str) -> Refusal:
    """The request itself is wrong, whatever the state of the network."""
    return Refusal(reason, message, field=field)


def unknown_router(field: str, router_id: str) -> Refusal:
    """An operator names a router that neither advertises nor holds anything."""
    return Refusal(
        Reason.UNKNOWN_ROUTER,
        f"no router {router_id!r} is known; `dgctl topology` shows those that are",
        field=field,
        metadata={"router_id": router_id},
    )
