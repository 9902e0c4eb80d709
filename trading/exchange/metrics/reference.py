"""Every metric that the exchange exports: name, kind, labels and meaning. Nothing else is exported.

``python -m trading.exchange.metrics.reference`` prints them as the table in docs/metrics.md.
"""

from digitalgrid.metrics.reference import Kind, Metric, metrics_table

# Of every name.
PREFIX = "dgm_"
_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
# Labels have few values each: words of the program, never ids of parties, meters or trades.
METRICS = (
    Metric("build_info", _G, ("version", "python"), "1; what runs"),
    Metric("controller_reachable", _G, (), "1 while the controller answers, else 0"),
    Metric("intervals", _G, ("phase",), "intervals that have not ended"),
    Metric("orders_open", _G, ("side",), "orders of which something waits"),
    Metric("open_wh", _G, ("side",), "what waits of them, in Wh"),
    Metric("trades", _G, ("state",), "trades of intervals that have not ended"),
    Metric("tenders_total", _C, ("result",), "tenders that were looked at since the start: taken, or why not"),
    Metric("trades_ended_total", _C, ("state",), "trades that have ended since the start, by how"),
    Metric("clearings_total", _C, ("result",), "clearings: right; wrong by the independent check, too late, or failed"),
    Metric("clearing_duration_seconds", _H, (), "how long deciding a clearing took"),
    Metric("requests_unanswered", _G, (), "requests of trades to the controller and the ledger, on their way"),
    Metric("journal_unwritten", _G, (), "commands on their way to the journal; 4,096 turn others away"),
    Metric("ledger_entries", _G, (), "entries of the ledger's log"),
    Metric("ledger_waiting", _G, (), "entries that wait for the next group"),
    Metric("supervised_failures_total", _C, ("cause",), "tasks that failed and were started again, or ended it"),
    Metric("unhandled_exceptions_total", _C, ("cause",), "of callbacks and threads: 0, or a bug"),
    Metric("market_unanswered_total", _C, ("cause",), "requests of trades that had no answer, and were asked again"),
)  # fmt: skip


if __name__ == "__main__":
    print(metrics_table(PREFIX, METRICS), end="")  # noqa: T201
