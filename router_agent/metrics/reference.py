"""Every metric that a router exports: name, kind, labels and meaning. Nothing else is exported.

``python -m router_agent.metrics.reference`` prints them as the table in docs/metrics.md.
"""

from digitalgrid.metrics.reference import Kind, Metric, metrics_table

# Of every name.
PREFIX = "dgr_"
_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_LINK = ("link",)
# Labels are words of the program, and ids of the router's own configuration: never of circuits, or of what others say.
METRICS = (
    Metric("build_info", _G, ("router", "version", "python"), "1; which router it is, and what runs"),
    Metric("boots_total", _C, (), "starts of this router, since its state was first written"),
    Metric("controllers", _G, ("state",), "controllers that it dials, and of them those with a session in step"),
    Metric("orders_total", _C, ("operation", "result"), "answers to controllers' orders, since the start"),
    Metric("hops", _G, ("role",), "generations of circuits that it carries: working, standby"),
    Metric("staged_transactions", _G, (), "orders that wait for their commit"),
    Metric("table_version", _G, (), "one higher at every change of the circuit table"),
    Metric("demand_watts", _G, (), "what its loads want over circuits"),
    Metric("tick_lateness_seconds", _H, (), "by how much a tick begins late"),
    Metric("link_up", _G, _LINK, "1 while it hears its neighbour, and is heard"),
    Metric("neighbour_silence_seconds", _G, _LINK, "since the neighbour was last heard; of one that ever was"),
    Metric("link_sent_energy_joules_total", _C, _LINK, "put on the line at this end; energies outlive restarts"),
    Metric("link_loss_energy_joules_total", _C, _LINK, "of that, what the line's resistance takes"),
    Metric("link_received_energy_joules_total", _C, _LINK, "taken from the line at this end"),
    Metric("link_lost_energy_joules_total", _C, ("link", "cause"), "not arrived here, by a fault; in transit: a bug"),
    Metric("link_frames_total", _C, ("link", "direction"), "frames that were sent, received"),
    Metric("link_frames_faulty_total", _C, ("link", "fault"), "dropped, refused as no line carries it, clamped"),
    Metric("source_injected_energy_joules_total", _C, ("source",), "given by the source"),
    Metric("load_delivered_energy_joules_total", _C, ("load",), "delivered to the load"),
    Metric("converter_loss_energy_joules_total", _C, (), "of its converters"),
    Metric("dissipated_energy_joules_total", _C, (), "given up from its buffers"),
    Metric("buffered_energy_joules", _G, (), "in its buffers, on its way"),
    Metric("books_imbalance_joules", _G, (), "taken in, less all that is accounted for: 0, or a bug"),
    Metric("oversubscribed_instants_total", _C, (), "at which a line, source or load bore more than it is built for"),
    Metric("through_power_clamped_instants_total", _C, (), "at which more was wanted than its converter takes"),
    Metric("agent_failures_total", _C, ("cause",), "exceptions that it survived: mistakes in the program"),
    Metric("supervised_failures_total", _C, ("cause",), "tasks and threads that failed: mistakes in the program"),
    Metric("unhandled_exceptions_total", _C, ("cause",), "exceptions that nobody took: mistakes in the program"),
)  # fmt: skip
BY_NAME = {each.name: each for each in METRICS}


if __name__ == "__main__":
    print(metrics_table(PREFIX, METRICS), end="")  # noqa: T201
