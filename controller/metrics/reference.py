"""Every metric that the daemon exports: name, kind, labels and meaning. Nothing else is exported.

``python -m controller.metrics.reference`` prints them as the table in docs/metrics.md.
"""

from digitalgrid.metrics.reference import Kind, Metric, metrics_table

# Of every name.
PREFIX = "dgc_"
_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
# Labels have few values each: words of the program, never ids of requests, circuits, routers or lines.
METRICS = (
    Metric("build_info", _G, ("version", "python", "engine"), "1; what runs, and which engine computes routes"),
    Metric("leader", _G, (), "1 while this controller leads, else 0"),
    Metric("term", _G, (), "the lower half of the election id of its term; 0 for a standby"),
    Metric("leadership_changes_total", _C, ("event",), "how often it began to lead (began), or ceased (ceased)"),
    Metric("rpc_requests_total", _C, ("method", "code"), "calls and watches of clients that have ended, by status"),
    Metric("rpc_duration_seconds", _H, ("method",), "how long calls took, waits for the store included"),
    Metric("rpc_in_flight", _G, ("kind",), "calls and watches that are under way"),
    Metric("decisions_total", _C, ("kind", "reason"), "answered calls of this term; DONE, or why it was refused"),
    Metric("circuits", _G, ("state",), "circuits that are promised or remembered"),
    Metric("circuits_protected", _G, ("protection",), "circuits that ask for a standby, by where that is"),
    Metric("circuit_power_watts", _G, ("state",), "what the circuits were promised at their loads"),
    Metric("circuit_setup_duration_seconds", _H, ("step",), "from a request until that step of it is reached"),
    Metric("circuit_interruptions_total", _C, (), "interruptions that sinks measured, since this process began"),
    Metric("circuit_first_packet_seconds", _H, (), "from an interruption until the first power packet came again"),
    Metric("circuit_promised_energy_joules_total", _C, (), "what loads were promised, as their routers last told"),
    Metric("circuit_missing_energy_joules_total", _C, ("cause",), "of that, what they did not get"),
    Metric("circuit_missing_power_seconds", _H, ("cause",), "what a load lacked until active again, over its power"),
    Metric("circuits_waiting_seconds", _G, (), "how long the circuit has waited that waits the longest; 0: none does"),
    Metric("injected_energy_joules_total", _C, (), "by sources, as routers measure it; energies outlive restarts"),
    Metric("delivered_energy_joules_total", _C, (), "to loads"),
    Metric("line_loss_energy_joules_total", _C, (), "of lines, by their resistance"),
    Metric("converter_loss_energy_joules_total", _C, (), "of routers' converters"),
    Metric("dissipated_energy_joules_total", _C, (), "by routers that had to give up what was in their buffers"),
    Metric("lost_to_faults_energy_joules_total", _C, (), "on its way over a line that failed"),
    Metric("lost_in_transit_energy_joules_total", _C, (), "on its way over a line that is up: 0, or a bug"),
    Metric("buffered_energy_joules", _G, (), "in routers' buffers, on its way"),
    Metric("books_imbalance_joules", _G, (), "injected, less all that is accounted for: 0, or a bug"),
    Metric("routers_unread", _G, (), "routers whose meters could not be read the last time"),
    Metric("routers", _G, ("state",), "routers that are known, of them with a session in step, and aged out"),
    Metric("links", _G, ("state",), "links, by what their ends say: up, down, unknown"),
    Metric("drains", _G, ("state",), "links and routers that operators take out of service"),
    Metric("lsdb_version", _G, (), "one higher at every change of the link-state database"),
    Metric("store_commit_duration_seconds", _H, (), "from a decision until it is durable, of one change at a time"),
    Metric("store_unwritten", _G, (), "changes on their way to the store; 4,096 turn requests away"),
    Metric("loop_lateness_seconds", _H, (), "by how much a timer of the loop comes late, ten times a second"),
    Metric("watch_messages_total", _C, (), "messages to watchers, what each sees first left out"),
    Metric("watch_work_seconds_total", _C, (), "time of the loop that was spent on all watchers"),
    Metric("web_clients", _G, (), "browsers that show the operator's page"),
    Metric("web_resyncs_total", _C, (), "how often one that came back had to begin anew"),
    Metric("web_stalls_total", _C, (), "browsers that were let go because they did not read"),
    Metric("routing_proposals_total", _C, ("cause",), "requests with a routing plug-in, by what its proposal came to"),
    Metric("southbound_sessions_ended_total", _C, ("cause",), "sessions that the controller ended"),
    Metric("southbound_sessions_refused_total", _C, ("cause",), "routers that were refused a session"),
    Metric("southbound_violations_total", _C, ("cause",), "messages that ended a session, by what was wrong"),
    Metric("southbound_claims_refused_total", _C, ("cause",), "claims to what other routers own"),
    Metric("southbound_meters_former_total", _C, ("cause",), "meters of what a router had formerly"),
    Metric("southbound_meters_left_out_total", _C, ("cause",), "meters of what a router has not"),
    Metric("southbound_lsas_held_back_total", _C, ("cause",), "advertisements beyond limits.lsa_per_s, taken later"),
    Metric("reconcile_differences_total", _C, ("cause",), "what routers ran otherwise than they should, repaired"),
    Metric("openflow_switches", _G, (), "switches of the control network that have a session"),
    Metric("openflow_hosts", _G, (), "hosts that were seen on it"),
    Metric("openflow_accept_failures_total", _C, ("cause",), "switches' connections that could not be taken"),
    Metric("openflow_connections_refused_total", _C, ("cause",), "switches' connections beyond the limit"),
    Metric("mistakes_total", _C, (), "of the program, all in one: those of the next two; there from the beginning"),
    Metric("supervised_failures_total", _C, ("cause",), "tasks and threads that failed"),
    Metric("unhandled_exceptions_total", _C, ("cause",), "exceptions that nobody took"),
)  # fmt: skip
BY_NAME = {each.name: each for each in METRICS}


if __name__ == "__main__":
    print(metrics_table(PREFIX, METRICS), end="")  # noqa: T201
