"""Kinds of plug-ins that a controller takes, with what is built in of each; `dgc plugins` lists what is installed."""

from digitalgrid.plugins import routing
from digitalgrid.plugins.table import Kind

ROUTING = Kind(
    "routing algorithm",
    routing.GROUP,
    routing.INTERFACE_VERSION,
    ("propose",),
    {"least-loss": "controller.computing.least_loss:LeastLoss"},
)
# The built-in ones are named where nothing else is chosen.
LEAST_LOSS = "least-loss"
STORES = Kind(
    "store",
    "digitalgrid.stores",
    1,
    ("open", "access", "problems", "described"),
    {
        "sqlite": "controller.store.sqlite.plugin:SqlitePlugin",
        "etcd": "controller.store.etcd.plugin:EtcdPlugin",
    },
)
KINDS = (ROUTING, STORES)
