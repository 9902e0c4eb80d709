"""Every metric that the daemon exports: name, kind, labels and meaning. Nothing else is exported.

``python -m controller.metrics.reference`` prints them as the table in docs/metrics.md.
"""

from digitalgrid.metrics.reference import Kind, Metric, metrics_table

# Of every name.
PREFIX = "dgc_"
_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
# Of each of the network's links and routers, by its id, where somebody asks for that (metrics.detail: links), and not
# else.
LINK_METRICS = (
    Metric("link_up", _G, ("link",), "1 while both ends say so; with metrics.detail: links, as the next three"),
    Metric("link_ampacity_amperes", _G, ("link",), "what it is built for"),
    Metric("link_reserved_amperes", _G, ("link", "router", "to"), "reserved of it, of what this router sends to that"),
    Metric("router_coordinate", _G, ("router", "axis"), "its place, where it has one: x to the east, y to the north"),
)  # fmt: skip
# Labels have few values each: words of the program, never ids of requests, circuits, routers or lines.
METRICS = (
    Metric("build_info", _G, ("version", "python", "engine"), "1; what runs, and which engine computes routes"),
    Metric("leader", _G, (), "1 while this controller leads, else 0"),
    Metric("term", _G, (), "the lower half of the election id of its term; 0 for a standby"),
    Metric("leadership_changes_total", _C, ("event",), "how often it began or ceased to lead, and how"),
    Metric("standbys", _G, (), "other controllers that would take the lead over; only who leads tells"),
    Metric("rpc_requests_total", _C, ("method", "code"), "calls and watches of clients that have ended, by status"),
    Metric("rpc_duration_seconds", _H, ("method",), "how long calls took, waits for the store included"),
    Metric("rpc_in_flight", _G, ("kind",), "calls and watches that are under way"),
    Metric("rpc_rejected_total", _C, ("kind",), "what was turned away: too many, or the store is behind"),
    Metric("decisions_total", _C, ("kind", "reason"), "answered calls of this term; DONE, or why it was refused"),
    Metric("decisions_blocked_total", _C, ("by",), "requests of this term that found no way, by what stood in it"),
    Metric("admission_batch_requests", _H, (), "requests that were decided in one event"),
    Metric("route_duration_seconds", _H, ("search",), "searches for routes of this term: one, a batch, a pair, ..."),
    Metric("route_settled_routers", _H, ("search",), "routers that a search looked at"),
    Metric("circuits", _G, ("state",), "circuits that are promised or remembered"),
    Metric("circuits_protected", _G, ("protection",), "circuits that ask for a standby, by where that is"),
    Metric("circuit_power_watts", _G, ("state",), "what the circuits were promised at their loads"),
    Metric("source_power_watts", _G, ("state",), "what sources can give: reserved of it, and free"),
    Metric("circuit_setup_duration_seconds", _H, ("step",), "from a request until that step of it is reached"),
    Metric("circuit_interruptions_total", _C, (), "interruptions that sinks measured, since this process began"),
    Metric("circuit_first_packet_seconds", _H, (), "from an interruption until the first power packet came again"),
    Metric("circuit_promised_energy_joules_total", _C, (), "what loads were promised, as their routers last told"),
    Metric("circuit_missing_energy_joules_total", _C, ("cause",), "of that, what they did not get"),
    Metric("circuit_missing_power_seconds", _H, ("cause",), "what a load lacked until active again, over its power"),
    Metric("circuits_waiting_seconds", _G, (), "how long the circuit has waited that waits the longest; 0: none does"),
    Metric("reroute_duration_seconds", _H, ("cause",), "from a line's fault until power comes over another way"),
    Metric("injected_energy_joules_total", _C, (), "by sources, as routers measure it; energies outlive restarts"),
    Metric("delivered_energy_joules_total", _C, (), "to loads"),
    Metric("line_loss_energy_joules_total", _C, (), "of lines, by their resistance"),
    Metric("converter_loss_energy_joules_total", _C, (), "of routers' converters"),
    Metric("dissipated_energy_joules_total", _C, (), "by routers that had to give up what was in their buffers"),
    Metric("lost_to_faults_energy_joules_total", _C, (), "on its way over a line that failed"),
    Metric("lost_in_transit_energy_joules_total", _C, (), "on its way over a line that is up: 0, or a bug"),
    Metric("buffered_energy_joules", _G, (), "in routers' buffers, on its way"),
    Metric("books_imbalance_joules", _G, (), "injected, less all that is accounted for: 0, or a bug"),
    Metric("oversubscribed_instants_total", _C, (), "at which anything bore more than it is built for"),
    Metric("formula_deviation_joules", _G, (), "the most by which a metered loss differs from its formula"),
    Metric("routers_unread", _G, (), "routers whose meters could not be read the last time"),
    Metric("routers", _G, ("state",), "routers: known; of them connected, stale (aged out), off (drained, and away)"),
    Metric("links", _G, ("state",), "links, by what their ends say: up, down, unknown; off: drained, and not up"),
    Metric("link_failures_total", _C, ("cause",), "how often links went down, by why their ends say so"),
    Metric("links_loaded", _G, ("share",), "links by the share of them that is reserved, in tenths, full at 1.0"),
    Metric("link_utilisation_ratio", _G, (), "reserved of the link that is the fullest"),
    Metric("drains", _G, ("state",), "links and routers that operators take out of service"),
    Metric("lsdb_version", _G, (), "one higher at every change of the link-state database"),
    Metric("lsas_total", _C, ("worth",), "link-state advertisements of routers: news, the same again, stale"),
    Metric("transactions_total", _C, ("operation", "result"), "routers' answers to what they were told"),
    Metric("transaction_duration_seconds", _H, ("operation",), "from an order until its router has answered"),
    Metric("generations_in_flight", _G, (), "generations of circuits that routers are told of just now; 256 at most"),
    Metric("generations_queued", _G, (), "generations that wait for their turn"),
    Metric("store_commit_duration_seconds", _H, (), "from a decision until it is durable, of one change at a time"),
    Metric("store_unwritten", _G, (), "changes on their way to the store; 4,096 turn requests away"),
    Metric("store_batch_changes", _H, (), "changes in one commit of this term"),
    Metric("store_size_bytes", _G, (), "what the store takes: its file and log, or the database of etcd"),
    Metric("store_free_bytes", _G, (), "what it has left, of its disk or of etcd's quota"),
    Metric("store_lease_remaining_seconds", _G, (), "the least that was left of the leader's lease lately"),
    Metric("loop_lateness_seconds", _H, (), "by how much a timer of the loop comes late, ten times a second"),
    Metric("loop_busy_seconds_total", _C, ("part",), "time that the core took of the loop, by whose word it was"),
    Metric("solver_runs_total", _C, ("kind", "outcome"), "long computations in the worker process"),
    Metric("solver_duration_seconds", _H, ("kind",), "how long they took, waits for each other included"),
    Metric("solver_iterations", _H, ("kind",), "steps of a dispatch's interior point; rounds of a re-optimisation"),
    Metric("watch_messages_total", _C, (), "messages to watchers, what each sees first left out"),
    Metric("watch_work_seconds_total", _C, (), "time of the loop that was spent on all watchers"),
    Metric("watch_wait_seconds", _H, (), "how long news waited until watchers were told"),
    Metric("web_clients", _G, (), "browsers that show the operator's page"),
    Metric("web_resyncs_total", _C, (), "how often one that came back had to begin anew"),
    Metric("web_stalls_total", _C, (), "browsers that were let go because they did not read"),
    Metric("routing_proposals_total", _C, ("cause",), "requests with a routing plug-in, by what its proposal came to"),
    Metric("southbound_sessions_total", _C, ("event",), "sessions of routers: opened, closed, replaced by a newer one"),
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
    Metric("openflow_packet_in_total", _C, (), "frames that switches handed to the controller"),
    Metric("openflow_frames_shed_total", _C, (), "of them those that were dropped, since too many waited"),
    Metric("openflow_flow_mods_total", _C, (), "flows that switches were told to have, or not"),
    Metric("openflow_accept_failures_total", _C, ("cause",), "switches' connections that could not be taken"),
    Metric("openflow_connections_refused_total", _C, ("cause",), "switches' connections beyond the limit"),
    Metric("mistakes_total", _C, (), "of the program, all in one: those of the next two; there from the beginning"),
    Metric("supervised_failures_total", _C, ("cause",), "tasks and threads that failed"),
    Metric("unhandled_exceptions_total", _C, ("cause",), "exceptions that nobody took"),
    *LINK_METRICS,
)  # fmt: skip
BY_NAME = {each.name: each for each in METRICS}


if __name__ == "__main__":
    print(metrics_table(PREFIX, METRICS), end="")  # noqa: T201
