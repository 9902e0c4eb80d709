"""Kinds of plug-ins that a market takes, with what is built in of each."""

from digitalgrid.plugins.table import Kind
from trading.mechanisms.mechanism import GROUP, INTERFACE_VERSION

MECHANISMS = Kind(
    "market mechanism",
    GROUP,
    INTERFACE_VERSION,
    ("clear",),
    {
        "call": "trading.mechanisms.call:CallAuction",
        "call-pro-rata": "trading.mechanisms.call:ProRataCallAuction",
        "continuous": "trading.mechanisms.continuous:ContinuousAuction",
        "nodal": "trading.mechanisms.nodal:NodalAuction",
    },
)
