"""Answers of a market as tables for people. One function for each message that `dgctl market` shows."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from dgctl.listing import Listing, View
from dgctl.market import bill_tables, lists, meter_tables, wording
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1 import meter_service_pb2 as meter_pb
from digitalgrid.units import PPM, format_duration_ns, format_power, format_unix_ns

T = TypeVar("T")
Parts = Iterable[Part]
# Marks a router's price that is the whole market's.
_EVERYWHERE = "everywhere"


def render(message: Message) -> Parts:
    """A whole answer."""
    parts: Parts = _RENDERERS[type(message)](message)
    return parts


def _market(answer: pb.GetMarketResponse) -> Parts:
    facts = _facts()
    facts.add_row("market", answer.name)
    facts.add_row("log", answer.log_id.hex())
    facts.add_row("key", answer.log_public_key.hex())
    facts.add_row("operator", answer.operator)
    facts.add_row("intervals of", format_duration_ns(answer.length_ns))
    facts.add_row("gate", f"{format_duration_ns(answer.gate_ns)} before each")
    facts.add_row("tick", f"{wording.price(answer.tick_micro_per_kwh)} per kWh")
    if answer.HasField("rules"):
        _add_rules(facts, answer.rules)
    if answer.controller_reachable:
        facts.add_row("controller", "answers")
    else:
        lost = answer.controller_lost_unix_ns
        since = f" since {format_unix_ns(lost)}" if lost else ""
        facts.add_row("controller", Styled(f"does not answer{since}", "red"))
    return [facts, "", _tariff(answer.tariff), "", intervals(answer), "", _parties(answer)]


def _add_rules(facts: Columns, rules: pb.MarketRules) -> None:
    facts.add_row("open at a time", f"{rules.ahead} interval{'s' if rules.ahead > 1 else ''}")
    facts.add_row(
        "of one party",
        f"{rules.orders_per_party} orders wait at most; {rules.tenders_per_s:g} tenders a second,"
        f" {rules.tender_burst} at once",
    )
    ends = "both end" if rules.self_trade == "both" else f"the {rules.self_trade} ends"
    facts.add_row("two of one party", f"{ends} where they would meet in a continuous book")
    if rules.HasField("reference_micro_per_kwh"):
        said = f"{wording.price(rules.reference_micro_per_kwh)} per kWh, where orders of a call leave it open"
        facts.add_row("reference price", said)
    paid = "are paid at once"
    if rules.object_ns:
        paid = f"may be objected to for {format_duration_ns(rules.object_ns)} before they are paid"
    decided = format_duration_ns(rules.dispute_ns)
    facts.add_row("bills", f"{paid}; a dispute is decided within {decided}")


def _tariff(tariff: pb.Tariff) -> Columns:
    table = Columns("tariff", ">per kWh", "who pays", show_names=True)
    rows = (
        ("utility sells at", tariff.utility_micro_per_kwh, "whoever buys there"),
        ("utility buys at", tariff.feed_in_micro_per_kwh, "the utility"),
        ("refusal", tariff.refusal_micro_per_kwh, "a buyer who does not take"),
        ("firm", tariff.firm_micro_per_kwh, "the operator, for what the network cut"),
        ("overdraw", tariff.overdraw_micro_per_kwh, "a buyer who takes more"),
        ("loss", tariff.loss_micro_per_kwh, _loss_payer(tariff)),
    )
    for name, price, who in rows:
        table.add_row(name, wording.price(price), who)
    fee = f"{tariff.dispute_fee_ppm * 100 / PPM:g} %"
    table.add_row("dispute", fee, "who objects to a line in vain, so much of it")
    return table


def _loss_payer(tariff: pb.Tariff) -> str:
    return "nobody: prices include it" if tariff.loss_payer == "included" else tariff.loss_payer


def intervals(answer: pb.GetMarketResponse) -> Columns:
    table = Columns("interval from", "mechanism", "phase", ">gate")
    for each in answer.intervals:
        table.add_row(
            wording.begins(each.interval),
            each.mechanism,
            wording.phase(each),
            _until(each.gate_unix_ns, answer.now_unix_ns),
        )
    return table


def _until(at_unix_ns: int, now_unix_ns: int) -> str:
    left_ns = at_unix_ns - now_unix_ns
    return f"in {format_duration_ns(left_ns)}" if left_ns > 0 else "closed"


def _parties(answer: pb.GetMarketResponse) -> Columns:
    table = Columns(
        "party", "meter", "router", "source", "load", ">gives at most", ">takes at most"
    )
    for party in answer.parties:
        for meter in party.meters:
            table.add_row(
                party.party,
                meter.meter_id,
                meter.router_id,
                meter.source_id,
                meter.load_id,
                format_power(meter.max_injected_w) if meter.max_injected_w else "-",
                format_power(meter.max_drawn_w) if meter.max_drawn_w else "-",
            )
    return table


def _listed(listing: Listing[T], rows: Sequence[T], none: str) -> Parts:
    """As they are answered: the newest first."""
    return [View(listing).table(rows)] if rows else [none]


def orders(answer: pb.ListTendersResponse) -> Parts:
    return _listed(lists.ORDERS, answer.orders, "no orders")


def _results(answer: pb.CreateTendersResponse) -> Parts:
    return orders(pb.ListTendersResponse(orders=[each.order for each in answer.results]))


def _cancelled(answer: pb.CancelTenderResponse) -> Parts:
    return orders(pb.ListTendersResponse(orders=[answer.order]))


def _book(answer: pb.GetBookResponse) -> Parts:
    """Sellers above buyers, so that the two best stand next to each other."""
    head = (
        f"interval from {wording.begins(answer.interval.interval)}, {answer.interval.mechanism},"
        f" {wording.phase(answer.interval)}"
    )
    if not answer.bids and not answer.asks:
        return [head, "nothing waits"]
    table = Columns("", ">limit per kWh", ">energy", ">orders")
    for name, style, levels in (
        ("sell", "red", list(reversed(answer.asks))),
        ("buy", "green", list(answer.bids)),
    ):
        for level in levels:
            table.add_row(
                name,
                wording.price(level.limit_micro_per_kwh),
                wording.energy(level.wh),
                str(level.orders),
                style=style,
            )
    return [head, table]


def _preview(answer: pb.PreviewClearingResponse) -> Parts:
    return [Styled("if the gate closed now; nothing is changed", "dim"), *clearing(answer.clearing)]


def clearing(cleared: pb.Clearing) -> Sequence[Part]:
    """Matches, prices and who went without."""
    interval = cleared.interval
    checked = "checked" if cleared.verified else f"NOT RIGHT: {cleared.verification}"
    parts: list[Part] = [
        f"interval from {wording.begins(interval.interval)}, {interval.mechanism}:"
        f" {wording.energy(lists.traded_wh(cleared))}, matches: {lists.matches(cleared)}, welfare:"
        f" {wording.money(cleared.welfare_nano)}, rounds: {max(1, cleared.rounds)}, took"
        f" {format_duration_ns(cleared.took_ns)}",
        Styled(f"certificate: {checked}", "" if cleared.verified else "red"),
    ]
    if cleared.prices:
        parts += ["", _prices(cleared.prices)]
    if cleared.matches:
        parts += ["", _matches(cleared.matches)]
    if cleared.unmatched:
        parts += ["", _unmatched(cleared.unmatched)]
    if cleared.matches_left_out or cleared.unmatched_left_out:
        parts += ["", Styled(_left_out(cleared), "dim")]
    return parts


def _left_out(cleared: pb.Clearing) -> str:
    return (
        f"and {cleared.matches_left_out} matches and {cleared.unmatched_left_out} orders that went without: more than"
        " an answer has room for; see `dgctl market trades --interval` and `dgctl market tenders` once it is cleared"
    )


def _prices(prices: Iterable[pb.MarketPrice]) -> Columns:
    table = Columns("router", ">price per kWh")
    for each in prices:
        table.add_row(each.router_id or _EVERYWHERE, wording.price(each.micro_per_kwh))
    return table


def _matches(matches: Iterable[pb.Match]) -> Columns:
    table = Columns(">buy", ">sell", ">energy", ">injected", ">buyer pays", ">seller gets", "over")
    for each in matches:
        table.add_row(
            str(each.buy_seq),
            str(each.sell_seq),
            wording.energy(each.wh),
            wording.energy(each.injected_wh),
            wording.price(each.buyer_micro_per_kwh),
            wording.price(each.seller_micro_per_kwh),
            " ".join(each.path),
        )
    return table


def _unmatched(unmatched: Iterable[pb.UnmatchedOrder]) -> Columns:
    table = Columns(">order", ">not matched", "because of")
    for each in unmatched:
        table.add_row(str(each.seq), wording.energy(each.wh), each.reason)
    return table


def _clearings(answer: pb.ListClearingsResponse) -> Parts:
    return _listed(lists.CLEARINGS, answer.clearings, "no interval has been cleared yet")


def _transactions(answer: pb.ListTransactionsResponse) -> Parts:
    return _listed(lists.TRADES, answer.transactions, "no trades")


def _positions(answer: pb.ListPositionsResponse) -> Parts:
    return _listed(lists.POSITIONS, answer.positions, "no positions")


def _settled(answer: pb.GetSettlementResponse) -> Parts:
    return [_headline(answer.transaction), "", *bill_tables.bill(answer.settlement)]


def _headline(trade: pb.Transaction) -> Part:
    why = f" ({trade.reason})" if trade.reason else ""
    return Styled(
        f"trade {trade.trade_id}: {wording.state(trade)}{why}, {wording.energy(trade.wh)} from"
        f" {trade.seller} to {trade.buyer}",
        "bold",
    )


def _disputed(answer: pb.OpenDisputeResponse | pb.ResolveDisputeResponse) -> Parts:
    return bill_tables.bill(answer.settlement)


def _balance(answer: ledger_pb.GetBalanceResponse) -> Parts:
    table = _facts()
    table.add_row("free", wording.money(answer.free_nano))
    table.add_row("in escrow", wording.money(answer.locked_nano))
    return [table]


def _moved(answer: ledger_pb.DepositResponse | ledger_pb.WithdrawResponse) -> Parts:
    return [f"entry {answer.seq} of the log; {wording.money(answer.free_nano)} are free now"]


def _refunded(answer: ledger_pb.RefundResponse) -> Parts:
    return [f"entry {answer.seq} of the log; everybody has back what he had in escrow"]


def _rotated(answer: ledger_pb.RotateKeyResponse) -> Parts:
    return [
        f"entry {answer.seq} of the log says that from now on it is signed with"
        f" {answer.log_public_key.hex()}"
    ]


def _facts() -> Columns:
    return Columns("", "", show_names=False)


_RENDERERS: dict[type[Message], Callable[[Any], Parts]] = {
    pb.GetMarketResponse: _market,
    pb.CreateTendersResponse: _results,
    pb.CancelTenderResponse: _cancelled,
    pb.ListTendersResponse: orders,
    pb.GetBookResponse: _book,
    pb.PreviewClearingResponse: _preview,
    pb.ListClearingsResponse: _clearings,
    pb.ListTransactionsResponse: _transactions,
    pb.ListPositionsResponse: _positions,
    pb.GetSettlementResponse: _settled,
    pb.OpenDisputeResponse: _disputed,
    pb.ResolveDisputeResponse: _disputed,
    meter_pb.GetMeterResponse: meter_tables.found,
    meter_pb.RegisterMeterResponse: meter_tables.moved,
    meter_pb.ReleaseMeterResponse: meter_tables.moved,
    ledger_pb.GetBalanceResponse: _balance,
    ledger_pb.DepositResponse: _moved,
    ledger_pb.WithdrawResponse: _moved,
    ledger_pb.RefundResponse: _refunded,
    ledger_pb.RotateKeyResponse: _rotated,
}
