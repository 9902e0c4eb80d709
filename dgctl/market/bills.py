"""The verbs of ``dgctl market`` about one trade: why it is as it is, its bill, its receipt, and disputes."""

import sys
from typing import TYPE_CHECKING, Any

import click

from dgctl.formats import Format
from dgctl.market.options import market_client, reads, signer_of, signs, trade_argument
from dgctl.options import Settings, pass_settings

if TYPE_CHECKING:
    from digitalgrid.market.v1 import market_pb2 as pb
    from trading.client import MarketClient

LINES = (
    *("energy", "network", "toll", "shortfall"),
    *("refusal", "overdraw", "curtailment", "loss"),
)
# Clearings that are looked through for that of a trade: twelve hours of quarters.
_CLEARINGS = 48
# And orders, for those that set its price.
_ORDERS = 10_000


@click.command()
@trade_argument
@reads
@pass_settings
def explain(settings: Settings, trade_id: str) -> None:
    """Says why a trade is as it is: its match and price, its path and loss, what was cut, and its bill.

    Of the price: by which rule, and whose order set it. Of the loss: as it was planned, and as meters saw it. Of the
    bill: each line with how it comes about.
    """
    from digitalgrid.columns import parts_text

    with market_client(settings) as client:
        trade = client.get_transaction(trade_id)
        settlement = _settlement(client, trade)
        clearing = _clearing(client, trade)
        orders = _orders(client, trade)
    if settings.output is Format.TABLE:
        from dgctl.market import explain_tables

        parts = explain_tables.trade(trade, settlement, clearing, orders)
        sys.stdout.write(parts_text(parts, sys.stdout))
    else:
        from dgctl.market import pricing
        from dgctl.output import as_dict, write_document

        write_document(
            {
                "transaction": as_dict(trade),
                "priceRule": pricing.rule(trade, clearing, orders),
                "orders": [as_dict(each) for each in orders],
                "clearing": None if clearing is None else as_dict(clearing),
                "settlement": None if settlement is None else as_dict(settlement),
            },
            settings.output,
        )


def _settlement(client: "MarketClient", trade: "pb.Transaction") -> "pb.Settlement | None":
    """None of a trade that has no bill yet, or never will."""
    from digitalgrid.market.v1 import market_pb2 as pb

    billed = (
        pb.TRANSACTION_STATE_BILLED,
        pb.TRANSACTION_STATE_DISPUTED,
        pb.TRANSACTION_STATE_SETTLING,
        pb.TRANSACTION_STATE_SETTLED,
        pb.TRANSACTION_STATE_PARTIAL,
        pb.TRANSACTION_STATE_UNDELIVERED,
    )
    if trade.state not in billed:
        return None
    return client.get_settlement(trade.trade_id).settlement


def _clearing(client: "MarketClient", trade: "pb.Transaction") -> "pb.Clearing | None":
    """None where it is forgotten, or there was none: continuous matching needs no clearing."""
    start_ns = trade.interval.start_unix_ns
    for each in client.list_clearings(_CLEARINGS):
        if each.interval.interval.start_unix_ns == start_ns:
            return each
    return None


def _orders(client: "MarketClient", trade: "pb.Transaction") -> "list[pb.Order]":
    """Those of its interval among the newest."""
    start_ns = trade.interval.start_unix_ns
    return [
        each for each in client.list_tenders() if each.tender.interval.start_unix_ns == start_ns
    ]


@click.command()
@trade_argument
@reads
@pass_settings
def settle(settings: Settings, trade_id: str) -> None:
    """Shows the bill of a trade: each line with its formula, and what each party comes out with."""
    from dgctl.market.output import show

    with market_client(settings) as client:
        answer = client.get_settlement(trade_id)
    show(answer, settings.output)


@click.command()
@trade_argument
@reads
@pass_settings
def receipt(settings: Settings, trade_id: str) -> None:
    """Shows which entries of the ledger's log a trade stands on, and has proved here that they do.

    With -o json it is whole, to be kept: with the log's key, whoever has it can check it and needs nobody for that.
    """
    from trading.client import check_receipt

    with market_client(settings) as client:
        market = client.market()
        received = client.get_receipt(trade_id)
    proved = check_receipt(received, trade_id, market.log_public_key, market.log_id)
    if settings.output is Format.TABLE:
        from dgctl.market import explain_tables
        from digitalgrid.columns import parts_text

        sys.stdout.write(parts_text(explain_tables.receipt(trade_id, proved), sys.stdout))
    else:
        from dgctl.output import as_dict, write_document

        write_document(as_dict(received), settings.output)


@click.command()
@trade_argument
@click.option("--line", type=click.Choice(LINES), required=True, help="The line that is wrong.")
@click.option("--because", "statement", default="", metavar="TEXT", help="What is wrong with it.")
@click.option(
    "--evidence",
    multiple=True,
    metavar="ID",
    help="A reading, entry of the log, circuit or the like that speaks for it; may be repeated.",
)
@signs
@pass_settings
def dispute(
    settings: Settings, trade_id: str, line: str, statement: str, evidence: tuple[str, ...]
) -> None:
    """Disputes one line of a bill, while its window is open."""
    from dgctl.market.output import show
    from digitalgrid.market.v1 import market_pb2 as pb

    with market_client(settings, signer_of(settings)) as client:
        settlement = client.open_dispute(trade_id, line, statement, evidence)
    show(pb.OpenDisputeResponse(settlement=settlement), settings.output)


class _ReadingType(click.ParamType[tuple[int, int, int]]):
    """``1:3600000:3500000``: a generation, with what was injected and delivered, in mJ."""

    name = "reading"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        parts = str(value).split(":")
        whole = len(parts) == 3 and all(part.isdecimal() and len(part) < 19 for part in parts)
        if not whole:
            self.fail(
                f"{value!r} is no reading; write GENERATION:INJECTED:DELIVERED, both in mJ",
                param,
                ctx,
            )
        generation, injected_mj, delivered_mj = map(int, parts)
        return generation, injected_mj, delivered_mj


@click.command()
@trade_argument
@click.option(
    "--reading",
    "readings",
    type=_ReadingType(),
    multiple=True,
    metavar="N:MJ:MJ",
    help="Generation, injected and delivered mJ that count instead of the routers'; may be repeated.",
)
@click.option("--because", "decision", default="", metavar="TEXT", help="Why; it is kept.")
@signs
@pass_settings
def resolve(
    settings: Settings, trade_id: str, readings: tuple[tuple[int, int, int], ...], decision: str
) -> None:
    """Decides a dispute: by the market's operator only."""
    from dgctl.market.output import show
    from digitalgrid.market.v1 import market_pb2 as pb

    deliveries = [
        pb.Delivery(generation=generation, injected_mj=injected_mj, delivered_mj=delivered_mj)
        for generation, injected_mj, delivered_mj in readings
    ]
    with market_client(settings, signer_of(settings)) as client:
        settlement = client.resolve_dispute(trade_id, decision, deliveries)
    show(pb.ResolveDisputeResponse(settlement=settlement), settings.output)
