"""Statuses: a refusal of the core as a gRPC status, with google.rpc details that a client can act on."""

from google.rpc.status_pb2 import Status

from controller.core.errors import Refusal
from digitalgrid.reasons import Reason
from digitalgrid.rpc import statuses

DOMAIN = statuses.DOMAIN


def status_of(refusal: Refusal) -> Status:
    """The status that a refusal becomes, details included."""
    return statuses.status_of(
        refusal.code,
        refusal.reason,
        str(refusal),
        refusal.field,
        refusal.metadata,
        is_passing=refusal.reason is Reason.OVERLOADED,
    )
