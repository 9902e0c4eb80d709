"""Panels of the network: the map, routers and lines as the controller knows them, and what routers tell themselves."""

from controller.metrics.network_map import EDGES, NODES
from controller.metrics.panel import (
    Drawn,
    Panel,
    Query,
    by_label,
    increase,
    of,
    of_routers,
    over,
    quantiles,
    rate,
)

_MAP = Panel(
    "The network",
    "none",
    (NODES, EDGES),
    "Links by what is reserved of them, from the end that sends more, thicker with current, red while down; "
    "at a router stands the fullest of those on which it sends. With metrics.detail: links.",
    drawn=Drawn.GRAPH,
)
NETWORK = (
    _MAP,
    Panel("Routers", "none", by_label("state", "max", of("dgc_routers"))),
    Panel("Lines", "none", by_label("state", "max", of("dgc_links")), stacked=True),
    Panel(
        "Lines that went down",
        "none",
        by_label("cause", "max", increase(of("dgc_link_failures_total"))),
        "By why their ends say so.",
        stacked=True,
    ),
    Panel(
        "Changes of the link-state database",
        "cps",
        (Query(over("max", rate(of("dgc_lsdb_version")))),),
    ),
    Panel("Taken out of service", "none", by_label("state", "max", of("dgc_drains"))),
    Panel(
        "Links by the share of them that is reserved",
        "percentunit",
        by_label("share", "max", of("dgc_links_loaded")),
        "How many are taken how far: in tenths, in the direction that has more.",
        drawn=Drawn.HEAT,
    ),
    Panel(
        "The fullest link",
        "percentunit",
        (Query(over("max", of("dgc_link_utilisation_ratio"))),),
        "Reserved of what it is built for.",
    ),
    Panel(
        "What sources can give",
        "watt",
        by_label("state", "max", of("dgc_source_power_watts")),
        stacked=True,
    ),
    Panel(
        "Advertisements", "cps", by_label("worth", "sum", rate(of("dgc_lsas_total"))), stacked=True
    ),
    Panel(
        "Sessions of routers",
        "cps",
        by_label("event", "sum", rate(of("dgc_southbound_sessions_total"))),
    ),
    Panel(
        "Answers of routers",
        "s",
        quantiles("dgc_transaction_duration_seconds", "operation", (0.99,)),
        "From an order until its router has answered.",
    ),
    Panel(
        "Answers by result",
        "cps",
        by_label("result", "sum", rate(of("dgc_transactions_total"))),
        stacked=True,
    ),
    Panel(
        "Generations on their way to routers",
        "none",
        (
            Query(over("max", of("dgc_generations_in_flight")), "told of"),
            Query(over("max", of("dgc_generations_queued")), "waiting for their turn"),
        ),
        "256 are told of at a time.",
        stacked=True,
    ),
    Panel(
        "Repairs",
        "cps",
        by_label("cause", "sum", rate(of("dgc_reconcile_differences_total"))),
        "What routers ran otherwise than they should.",
        stacked=True,
    ),
    Panel(
        "Meters' own checks",
        "none",
        (
            Query(over("max", of("dgc_oversubscribed_instants_total")), "oversubscribed instants"),
            Query(over("max", of("dgc_formula_deviation_joules")), "most off its formula, in J"),
        ),
        "0, or next to it.",
    ),
)
ROUTERS = (
    Panel(
        "Lateness of routers' ticks",
        "s",
        quantiles("dgr_tick_lateness_seconds", series=of_routers),
        "Of all routers that tell Prometheus. Who is late moves power late, and may be taken for dead.",
    ),
    Panel(
        "Frames that routers did not take",
        "cps",
        by_label("fault", "sum", rate(of_routers("dgr_link_frames_faulty_total"))),
        "dropped: garbled or late; refused: energy that no line carried; clamped: taken, up to what one carries.",
        stacked=True,
    ),
)
