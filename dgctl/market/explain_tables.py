"""Explanations of trades for people: match, price, path, loss, what was cut and why, the bill, and proofs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dgctl.market import bill_tables, pricing, wording
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import MJ_PER_WH, PPM, format_duration_ns, format_unix_ns

if TYPE_CHECKING:
    from digitalgrid.market.v1 import ledger_pb2
    from trading.client import Proved

_BLAMED = {"seller": "the seller", "buyer": "the buyer", "network": "the network"}


def trade(
    trade: pb.Transaction,
    settlement: pb.Settlement | None,
    clearing: pb.Clearing | None,
    orders: Sequence[pb.Order],
) -> list[Part]:
    """From the match to the bill."""
    parts: list[Part] = [_headline(trade), "", _match(trade, orders)]
    parts += [f"price: {pricing.rule(trade, clearing, orders)}", *_certificate(clearing)]
    parts += ["", *_way(trade, settlement)]
    if settlement is None:
        return [*parts, "", *_not_billed(trade)]
    return [*parts, "", *_undelivered(settlement), "", *_bill(trade, settlement)]


def _headline(trade: pb.Transaction) -> Part:
    until = f" until {format_unix_ns(trade.until_unix_ns)}" if trade.until_unix_ns else ""
    interval = trade.interval
    return Styled(
        f"trade {trade.trade_id}: {wording.state(trade)}{until}; {wording.energy(trade.wh)} from {trade.seller} to"
        f" {trade.buyer}, from {wording.begins(interval)} on for {format_duration_ns(interval.length_ns)}",
        "bold",
    )


def _match(trade: pb.Transaction, orders: Sequence[pb.Order]) -> Columns:
    """Both orders, with what each gains against its limit."""
    known = {each.seq: each for each in orders}
    table = Columns(
        *("side", "party", "meter", ">order", ">limit", ">price", ">better by"), title="match"
    )
    sides = (
        ("buys", trade.buyer, trade.buy_meter_id, trade.buy_seq, trade.buyer_micro_per_kwh, 1),
        (
            "sells",
            trade.seller,
            trade.sell_meter_id,
            trade.sell_seq,
            trade.seller_micro_per_kwh,
            -1,
        ),
    )
    for side, party, meter, seq, price, sign in sides:
        limit = known[seq].tender.limit_micro_per_kwh if seq in known else None
        table.add_row(
            side,
            party,
            meter,
            str(seq),
            "-" if limit is None else wording.price(limit),
            wording.price(price),
            "-" if limit is None else wording.price(sign * (limit - price)),
        )
    return table


def _certificate(clearing: pb.Clearing | None) -> Iterator[Part]:
    if clearing is None:
        return
    if clearing.verified:
        yield "certificate: the clearing was checked, by what knows no mechanism, and found right"
    else:
        yield Styled(f"certificate: NOT RIGHT: {clearing.verification}", "red")


def _way(trade: pb.Transaction, settlement: pb.Settlement | None) -> Iterator[Part]:
    if not trade.circuit_id:
        yield "path: none; no circuit was held for it"
        return
    over = f" over {' '.join(trade.path)}" if trade.path else ", the best path of its moment"
    yield f"path: circuit {trade.circuit_id} (request {trade.request_id}){over}"
    table = Columns("loss", ">injected", ">delivered", ">lost", ">of it")
    agreed_mj = trade.wh * MJ_PER_WH
    rows = [("as it was matched", trade.injected_wh * MJ_PER_WH, agreed_mj)]
    if trade.held_injected_ppm:
        rows.append(
            ("planned, as it was held", agreed_mj * trade.held_injected_ppm // PPM, agreed_mj)
        )
    if settlement is not None:
        how = "estimated" if settlement.estimated else "measured"
        rows.append(
            (f"{how} ({settlement.quality})", settlement.injected_mj, settlement.delivered_mj)
        )
    for name, injected_mj, delivered_mj in rows:
        lost_mj = injected_mj - delivered_mj
        table.add_row(
            name,
            wording.metered(injected_mj),
            wording.metered(delivered_mj),
            wording.metered(lost_mj),
            wording.share(lost_mj, injected_mj),
        )
    yield table
    if trade.injected_wh == trade.wh:
        yield Styled("it was matched without loss: its mechanism does not look at the way", "dim")


def _not_billed(trade: pb.Transaction) -> Iterator[Part]:
    if trade.reason:
        detail = f": {trade.detail}" if trade.detail else ""
        yield Styled(f"because of {trade.reason}{detail}", "red")
    yield "bill: none yet" if not trade.reason else "bill: none; all that was locked went back"
    if trade.HasField("locked"):
        yield _locked(trade)


def _undelivered(settlement: pb.Settlement) -> Iterator[Part]:
    """What is lacking, whose it is, and what the controller told of causes."""
    lacking_mj = settlement.contract_mj - min(settlement.delivered_mj, settlement.contract_mj)
    beyond_mj = settlement.delivered_mj - settlement.contract_mj
    if not lacking_mj:
        more = f", and {wording.metered(beyond_mj)} beyond it" if beyond_mj > 0 else ""
        yield f"delivered: all that was agreed{more}"
    else:
        yield (
            f"delivered: {wording.metered(settlement.contract_mj - lacking_mj)} of"
            f" {wording.metered(settlement.contract_mj)}; of what is lacking the seller is short of"
            f" {wording.metered(settlement.short_mj)}, the network cut {wording.metered(settlement.curtailed_mj)}, the"
            f" buyer refused {wording.metered(settlement.refused_mj)}, and nobody knows of"
            f" {wording.metered(settlement.unknown_mj)}"
        )
    if settlement.missed:
        table = Columns(
            "from", ">for", "because of", "so it is", ">lacked", title="what was told of causes"
        )
        for each in settlement.missed:
            table.add_row(
                format_unix_ns(each.from_unix_ns),
                format_duration_ns(each.to_unix_ns - each.from_unix_ns),
                each.cause,
                f"{_BLAMED.get(each.blame, each.blame)}'s",
                wording.metered(each.missing_mj),
            )
        yield table


def _bill(trade: pb.Transaction, settlement: pb.Settlement) -> Iterator[Part]:
    yield from bill_tables.bill(settlement)
    if trade.HasField("locked"):
        yield ""
        yield _locked(trade)
    if trade.state == pb.TRANSACTION_STATE_BILLED:
        until = format_unix_ns(trade.until_unix_ns)
        yield f"it is paid at {until}, unless a party objects: `dgctl market dispute`"
    elif settlement.final_unix_ns:
        yield f"final: no line changes after {format_unix_ns(settlement.final_unix_ns)}"


def _locked(trade: pb.Transaction) -> str:
    locked = trade.locked
    return (
        f"locked before: {wording.money(locked.buyer_nano)} by the buyer, {wording.money(locked.seller_nano)} by the"
        f" seller, {wording.money(locked.operator_nano)} by the operator; what the bill leaves of it goes back"
    )


def receipt(trade_id: str, proved: "Proved") -> list[Part]:
    """What stands in the log of a trade, as it was proved here."""
    head = (
        f"trade {trade_id} in the log {proved.log_id.hex()} of {proved.size} entries, whose head was signed at"
        f" {format_unix_ns(proved.at_unix_ns)}"
    )
    if not proved.entries:
        return [head, "nothing: no money was locked for it"]
    table = Columns(">entry", "what", "written at", "says")
    for entry in proved.entries:
        body = entry.WhichOneof("body") or ""
        table.add_row(
            str(entry.seq), _STEPS.get(body, body), format_unix_ns(entry.at_unix_ns), _says(entry)
        )
    checked = "proved here: each entry is beneath the signed head"
    if proved.terms is not None:
        checked += ", and the terms below are those that the money was locked for"
    return [head, table, checked, *_terms(proved.terms)]


_STEPS = {
    "lock": "money locked",
    "commitment": "agreed",
    "payment": "paid in part",
    "close": "settled",
    "refund": "refunded",
}


def _says(entry: "ledger_pb2.Entry") -> str:
    match entry.WhichOneof("body"):
        case "lock":
            return ", ".join(f"{s.account} {wording.money(s.nano)}" for s in entry.lock.stakes)
        case "commitment":
            return f"{entry.commitment.kind}, hash {entry.commitment.sha256.hex()[:16]}"
        case "payment":
            return _postings(entry.payment.postings)
        case "close":
            estimated = "estimated: " if entry.close.estimated else ""
            return estimated + _postings(entry.close.postings)
        case _:
            return ""


def _postings(postings: "Sequence[ledger_pb2.Posting]") -> str:
    return ", ".join(
        f"{each.payer} gets back {wording.money(each.nano)}"
        if each.payer == each.payee
        else f"{each.payer} pays {each.payee} {wording.money(each.nano)}"
        for each in postings
        if each.nano
    )


def _terms(terms: "pb.TradeTerms | None") -> Iterator[Part]:
    if terms is None:
        return
    yield (
        f"terms: {wording.energy(terms.wh)} from {terms.seller} ({terms.sell_meter_id}) to {terms.buyer}"
        f" ({terms.buy_meter_id}), buyer pays {wording.price(terms.buyer_micro_per_kwh)}, seller gets"
        f" {wording.price(terms.seller_micro_per_kwh)}, toll {wording.price(terms.toll_micro_per_kwh)} per kWh"
    )
