"""Panels of the dashboard, as data: each query (PromQL) is written here once, and a test asks it of a controller."""

from dataclasses import dataclass

from controller.metrics.network_panels import NETWORK, ROUTERS
from controller.metrics.panel import (
    Answer,
    Drawn,
    Panel,
    Query,
    Row,
    by_label,
    changes,
    increase,
    of,
    over,
    quantiles,
    rate,
)

# From a cut to the first packet over another way (s): in half of the cases, and in all.
_PROMISES_S = (0.05, 0.25)


def _heat(histogram: str) -> tuple[Query, ...]:
    buckets = over("sum", increase(of(f"{histogram}_bucket")), "le")
    return (Query(buckets, "{{le}}", Answer.BUCKETS),)


def _one(
    title: str, unit: str, expression: str, what: str, alarm_from: float | None = None
) -> Panel:
    return Panel(title, unit, (Query(expression),), what, alarm_from=alarm_from, drawn=Drawn.FIGURE)


_MISSING = over("sum", rate(of("dgc_circuit_missing_energy_joules_total")))
_PROMISED = over("sum", rate(of("dgc_circuit_promised_energy_joules_total")))
_KNOWN = over("max", of("dgc_routers", 'state="known"'))
_CONNECTED = over("max", of("dgc_routers", 'state="connected"'))
_NOW = (
    _one(
        "Promised to active circuits",
        "watt",
        over("max", of("dgc_circuit_power_watts", 'state="active"')),
        "What loads were promised, of circuits whose power is there.",
    ),
    _one(
        "Missing of it",
        "percentunit",
        f"{_MISSING} / {_PROMISED}",
        "Energy that loads were promised and did not get, over what they were promised.",
        0.001,
    ),
    _one(
        "Longest wait",
        "s",
        over("max", of("dgc_circuits_waiting_seconds")),
        "Of a circuit that waits for a way with room; 0: none waits.",
        1.0,
    ),
    _one(
        "Lines down",
        "none",
        over("max", of("dgc_links", 'state="down"')),
        "By what their ends say.",
        1.0,
    ),
    _one(
        "Routers away",
        "none",
        f"{_KNOWN} - {_CONNECTED}",
        "Known, and without a session in step.",
        1.0,
    ),
    _one(
        "Leaders",
        "none",
        over("sum", of("dgc_leader")),
        "One, of a cluster too.",
        2.0,
    ),
    _one(
        "Not in the books",
        "joule",
        over("max", of("dgc_books_imbalance_joules")),
        "Injected, less all that routers account for: 0, or a bug.",
        0.001,
    ),
    _one(
        "Alerts",
        "none",
        'sum(ALERTS{alertstate="firing", job=~"$job"}) or vector(0)',
        "Those that fire, where Prometheus has the rules of alerts.yaml.",
        1.0,
    ),
)
_ENERGIES = ("delivered", "line_loss", "converter_loss", "dissipated", "lost_to_faults")
_POWER = (
    Panel(
        "Power, as routers measure it",
        "watt",
        tuple(
            Query(over("max", rate(of(f"dgc_{kind}_energy_joules_total"))), kind.replace("_", " "))
            for kind in _ENERGIES
        ),
        "What sources inject, by where it goes.",
        stacked=True,
    ),
    Panel(
        "Energy without an account",
        "joule",
        (
            Query(over("max", of("dgc_books_imbalance_joules")), "not in the books"),
            Query(over("max", of("dgc_lost_in_transit_energy_joules_total")), "lost in transit"),
        ),
        "0, or a bug.",
        alarm_from=0.001,
    ),
    Panel(
        "Promised power by state",
        "watt",
        by_label("state", "max", of("dgc_circuit_power_watts")),
        stacked=True,
    ),
    Panel(
        "Missing power by cause",
        "watt",
        by_label("cause", "sum", rate(of("dgc_circuit_missing_energy_joules_total"))),
        "Energy that loads were promised and did not get, a second.",
        stacked=True,
    ),
    Panel(
        "Missing in a gap, in seconds of the promised power",
        "s",
        quantiles("dgc_circuit_missing_power_seconds", "cause"),
        "A gap is over when its circuit is active again: what its load lacked, over its power. "
        "An alert tells where more than 1 of 100 that faults made is beyond the line, 250 ms.",
        lines=_PROMISES_S[1:],
    ),
    Panel(
        "From an interruption to the first packet",
        "s",
        quantiles("dgc_circuit_first_packet_seconds"),
        "Not what a load feels: routers have some energy in store, and fill it again. "
        "The lines: 50 ms, which half of them are to stay below, and 250 ms for all.",
        lines=_PROMISES_S,
    ),
    Panel(
        "Interruptions by the time to the first packet",
        "s",
        _heat("dgc_circuit_first_packet_seconds"),
        "How many took how long; 50 ms and 250 ms are edges of rows.",
        drawn=Drawn.HEAT,
    ),
    Panel(
        "From a line's fault to power over another way",
        "s",
        quantiles("dgc_reroute_duration_seconds", "cause"),
        "By why the line was down, of loads that were without power; what waited for room is among them.",
    ),
    Panel(
        "Interruptions", "cps", (Query(over("sum", rate(of("dgc_circuit_interruptions_total")))),)
    ),
    Panel(
        "Protection",
        "none",
        by_label("protection", "max", of("dgc_circuits_protected")),
        "Circuits that ask for a standby, by where that is.",
        stacked=True,
    ),
)
_REQUESTS = (
    Panel(
        "Decisions", "reqps", by_label("kind", "sum", rate(of("dgc_decisions_total"))), stacked=True
    ),
    Panel(
        "Refusals by reason",
        "reqps",
        by_label("reason", "sum", rate(of("dgc_decisions_total", 'reason!="DONE"'))),
        stacked=True,
    ),
    Panel(
        "From a request until a step is reached",
        "s",
        quantiles("dgc_circuit_setup_duration_seconds", "step"),
        "stored: durable; staged: accepted on the whole way; committed: told; actuated: power at the load.",
    ),
    Panel("Calls", "s", quantiles("dgc_rpc_duration_seconds", "method", (0.99,))),
    Panel(
        "Calls by status",
        "reqps",
        by_label("code", "sum", rate(of("dgc_rpc_requests_total"))),
        stacked=True,
    ),
    Panel("Circuits by state", "none", by_label("state", "max", of("dgc_circuits")), stacked=True),
    Panel(
        "What stands in the way of refused requests",
        "reqps",
        by_label("by", "sum", rate(of("dgc_decisions_blocked_total"))),
        stacked=True,
    ),
    Panel(
        "Turned away",
        "reqps",
        by_label("kind", "sum", rate(of("dgc_rpc_rejected_total"))),
        "Too many are under way, of one client or of all; or the store is behind.",
        stacked=True,
    ),
    Panel("Searches for routes", "s", quantiles("dgc_route_duration_seconds", "search", (0.99,))),
    Panel(
        "Routers that a search looks at",
        "none",
        quantiles("dgc_route_settled_routers", "search"),
        "Few in a large network: searches are guided.",
    ),
)
_INSIDE = (
    Panel(
        "Lateness of the loop",
        "s",
        quantiles("dgc_loop_lateness_seconds"),
        "By how much a timer comes late; nothing can be quicker.",
    ),
    Panel("Commits of the store", "s", quantiles("dgc_store_commit_duration_seconds")),
    Panel(
        "Changes that wait for the store",
        "none",
        (Query(over("max", of("dgc_store_unwritten"))),),
        "4,096 turn requests away.",
        alarm_from=4096.0,
    ),
    Panel(
        "Processor",
        "percentunit",
        (
            Query(rate(of("process_cpu_seconds_total")), "{{instance}}"),
            Query(rate(of("dgc_watch_work_seconds_total")), "{{instance}}, of that for watchers"),
        ),
    ),
    Panel("Memory", "bytes", (Query(of("process_resident_memory_bytes"), "{{instance}}"),)),
    Panel("Calls and watches under way", "none", by_label("kind", "sum", of("dgc_rpc_in_flight"))),
    Panel(
        "The core at work",
        "percentunit",
        by_label("part", "sum", rate(of("dgc_loop_busy_seconds_total"))),
        "Of the loop's time, by whose word it is.",
        stacked=True,
    ),
    Panel(
        "Requests that are decided together",
        "none",
        quantiles("dgc_admission_batch_requests"),
        "Each saves more by it.",
    ),
    Panel("Changes in one commit", "none", quantiles("dgc_store_batch_changes")),
    Panel(
        "Room for the store",
        "bytes",
        (
            Query(of("dgc_store_size_bytes"), "{{instance}}, taken"),
            Query(of("dgc_store_free_bytes"), "{{instance}}, free"),
        ),
        "Of its disk, or of etcd's quota.",
    ),
    Panel(
        "The leader's lease",
        "s",
        (Query(over("min", of("dgc_store_lease_remaining_seconds"))),),
        "The least that was left of it lately; a store that is a file has none.",
    ),
    Panel("Standbys", "none", (Query(over("max", of("dgc_standbys"))),)),
    Panel(
        "Changes of the lead",
        "none",
        # A counter of one that was killed and started again stands where it stood, and shows no increase.
        by_label("instance", "sum", changes(of("dgc_term"))),
        "How often each controller began a lead, or ended one.",
        stacked=True,
    ),
    Panel(
        "Long computations",
        "s",
        quantiles("dgc_solver_duration_seconds", "kind"),
        "Dispatch, re-optimisation, making room and what-if, in a process of their own.",
    ),
    Panel(
        "Steps of long computations",
        "none",
        quantiles("dgc_solver_iterations", "kind"),
        "Of an interior point for a dispatch, rounds of columns for a re-optimisation.",
    ),
    Panel(
        "Watchers hear of news after",
        "s",
        quantiles("dgc_watch_wait_seconds"),
        "As long as the share of the loop makes them wait that is theirs.",
    ),
)
ROWS = (
    Row("Now", _NOW),
    Row("Power at loads", _POWER),
    Row("Requests", _REQUESTS),
    Row("Routers and lines", NETWORK),
    Row("What routers tell themselves", ROUTERS),
    Row("Inside the controller", _INSIDE),
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A mark on all panels, at the times for which its query has an answer."""

    name: str
    colour: str
    expression: str
    text: str


def _more_than_before(series: str) -> str:
    """Than a minute ago: Grafana asks for annotations minute by minute."""
    return f"{series} > {series} offset 1m"


_DOWN = of("dgc_links", 'state="down"')
ANNOTATIONS = (
    # The term of a controller that leads; of one that stands by it is 0.
    Annotation(
        "Leader changed",
        "blue",
        _more_than_before(of("dgc_term")),
        "{{instance}} leads",
    ),
    Annotation("Line down", "red", f"max({_DOWN}) > max({_DOWN} offset 1m)", "a line went down"),
)


def expressions() -> list[str]:
    """Every query of the dashboard that always has an answer: of its panels."""
    return [query.expression for row in ROWS for panel in row.panels for query in panel.queries]
