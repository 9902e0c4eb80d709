"""Differences between what routers run and what they should run, as ``Reconcile`` reports them."""

from digitalgrid.v1 import northbound_pb2 as pb

# Fields of RouterDifferences, in the order of the protocol: a kind that is added there is counted everywhere.
KINDS = tuple(
    field.name for field in pb.RouterDifferences.DESCRIPTOR.fields if field.message_type is not None
)


def count_differences(router: pb.RouterDifferences) -> int:
    """Hops and pools of one router that are not as they should be, of whatever kind."""
    return sum(len(getattr(router, kind)) for kind in KINDS)
