"""The verbs of ``dgctl market`` by which parties tender, and take back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgctl.market.options import (
    EnergyType,
    IntervalType,
    PriceType,
    market_client,
    signer_of,
    signs,
    start_ns_of,
)
from dgctl.options import DurationType, FractionType, Settings, pass_settings
from digitalgrid.command_line import IdType
from digitalgrid.units import NS_PER_S, PPM

if TYPE_CHECKING:
    from digitalgrid.market.v1 import market_pb2 as pb

F = TypeVar("F", bound=Callable[..., Any])


def _tender_options(command: F) -> F:
    for option in (
        click.option(
            "--wait", is_flag=True, help="Returns only when it is decided what becomes of it."
        ),
        click.option(
            "--tag",
            "tags",
            type=IdType(),
            multiple=True,
            metavar="TEXT",
            help="A note of yours; may be repeated.",
        ),
        click.option(
            "--avoid",
            "avoid_ids",
            type=IdType(),
            multiple=True,
            metavar="ID",
            help="A router or link that the way must keep off; may be repeated.",
        ),
        click.option(
            "--max-loss",
            "max_loss_fraction",
            type=FractionType(),
            metavar="FRACTION",
            help="Of what is injected, the most that may be lost on the way, such as 5%.",
        ),
        click.option(
            "--good-for",
            "good_for_ns",
            type=DurationType(),
            metavar="DURATION",
            help="Waits so long at most, such as 30s.  [default: till the gate]",
        ),
        click.option(
            "--at-once",
            type=click.Choice(["any", "all"]),
            help="Does not wait: takes any that is there at once, or all or nothing.",
        ),
        click.option(
            "--min-fill",
            "min_fill_wh",
            type=EnergyType(),
            default=0,
            metavar="ENERGY",
            help="Less at a time is not wanted.  [default: any]",
        ),
        click.option(
            "--interval",
            type=IntervalType(),
            default="next",
            show_default=True,
            metavar="WHEN",
            help="next, +1 for the one after, or when it begins, as 2026-11-30T12:00:00Z.",
        ),
        click.option(
            "--id",
            "order_id",
            type=IdType(optional=True),
            default="",
            metavar="ID",
            help="The order's, of your own: makes a retry idempotent.",
        ),
        click.option(
            "--limit",
            "limit_micro_per_kwh",
            type=PriceType(),
            required=True,
            metavar="PRICE",
            help="The most to pay, or the least to get, per kWh at the load.",
        ),
        click.option(
            "--energy",
            "wh",
            type=EnergyType(),
            required=True,
            metavar="ENERGY",
            help="At the load, such as 700Wh.",
        ),
        click.option("--meter", "meter_id", type=IdType(), metavar="ID", help="A meter of yours."),
    ):
        command = option(command)
    return command


@click.group()
def tender() -> None:
    """Offers to buy or to sell energy of an interval."""


@tender.command()
@_tender_options
@click.option("--load", "device_id", type=IdType(), metavar="ID", help="Or the load behind it.")
@signs
@pass_settings
def buy(settings: Settings, /, **wanted: Any) -> None:
    """Offers to buy, for a load."""
    _tender(settings, "buy", wanted)


@tender.command()
@_tender_options
@click.option("--source", "device_id", type=IdType(), metavar="ID", help="Or the source behind it.")
@signs
@pass_settings
def sell(settings: Settings, /, **wanted: Any) -> None:
    """Offers to sell, from a source."""
    _tender(settings, "sell", wanted)


@click.command()
@click.option("--source", "device_id", type=IdType(), metavar="ID", help="Or the source behind it.")
@click.option("--meter", "meter_id", type=IdType(), metavar="ID", help="A meter of yours.")
@click.option(
    "--energy",
    "most_wh",
    type=EnergyType(),
    required=True,
    metavar="ENERGY",
    help="That it gives at most, such as 700Wh; what is sold already stays so.",
)
@click.option(
    "--interval",
    type=IntervalType(),
    default="next",
    show_default=True,
    metavar="WHEN",
    help="next, +1 for the one after, or when it begins, as 2026-11-30T12:00:00Z.",
)
@signs
@pass_settings
def forecast(
    settings: Settings, device_id: str | None, meter_id: str | None, most_wh: int, interval: str
) -> None:
    """Says that a source gives no more than that in an interval, so that its meter sells no more.

    The last word counts. By its party or, with --meter, the operator.
    """
    from dgctl.market.output import show
    from digitalgrid.market.v1 import market_pb2 as pb

    with market_client(settings, signer_of(settings)) as client:
        market = client.market()
        meter = meter_id or _meter_of(settings, "sell", market, device_id)
        position = client.set_forecast(meter, start_ns_of(interval, market), most_wh)
    show(pb.ListPositionsResponse(positions=[position]), settings.output)


@click.command()
@click.argument("order_id", metavar="ORDER", type=IdType())
@signs
@pass_settings
def cancel(settings: Settings, order_id: str) -> None:
    """Ends what waits of an order; what is matched stays so."""
    from dgctl.market.output import show
    from digitalgrid.market.v1 import market_pb2 as pb

    with market_client(settings, signer_of(settings)) as client:
        order = client.cancel_tender(order_id)
    show(pb.CancelTenderResponse(order=order), settings.output)


def _tender(settings: Settings, side: Any, wanted: dict[str, Any]) -> None:
    from dgctl.market.output import show
    from digitalgrid.market.v1 import market_pb2 as pb

    wait = wanted.pop("wait")
    if wanted["at_once"] and wanted["good_for_ns"]:
        raise click.UsageError("what is taken --at-once does not wait --good-for a while")
    with market_client(settings, signer_of(settings)) as client:
        market = client.market()
        order = client.create_tender(_message(settings, side, market, **wanted))
        if not wait:
            show(pb.CreateTendersResponse(results=[pb.TenderResult(order=order)]), settings.output)
            return
        order, trades = client.wait_until_decided(order, _patience_s(settings, market, order))
    _show_decided(order, trades, settings)


def _message(
    settings: Settings,
    side: Any,
    market: "pb.GetMarketResponse",
    *,
    interval: str,
    meter_id: str | None,
    device_id: str | None,
    at_once: str | None,
    good_for_ns: int | None,
    max_loss_fraction: float | None,
    **plain: Any,
) -> "pb.Tender":
    from digitalgrid.market.v1 import market_pb2 as pb
    from trading.client.calls import TimeInForce, tender

    tif: TimeInForce = "gtd" if good_for_ns else "gtc"
    if at_once:
        tif = "ioc" if at_once == "any" else "fok"
    return tender(
        side,
        meter_id or _meter_of(settings, side, market, device_id),
        interval=pb.Interval(
            start_unix_ns=start_ns_of(interval, market), length_ns=market.length_ns
        ),
        time_in_force=tif,
        expires_unix_ns=market.now_unix_ns + good_for_ns if good_for_ns else 0,
        max_loss_ppm=_loss_ppm(max_loss_fraction),
        **plain,
    )


def _loss_ppm(fraction: float | None) -> int:
    """In a tender 0 is "any"."""
    if fraction is None:
        return 0
    if not 0.0 < fraction <= 1.0:
        raise click.UsageError("--max-loss lies above 0, as no way loses nothing, and up to 100%")
    return max(1, round(fraction * PPM))


def _meter_of(
    settings: Settings, side: str, market: "pb.GetMarketResponse", device_id: str | None
) -> str:
    """That of a load or source; the party's only one, where it has one that power flows through that way."""
    meters = [
        meter
        for party in market.parties
        if party.party == settings.party
        for meter in party.meters
        if (meter.max_drawn_w if side == "buy" else meter.max_injected_w) > 0.0
    ]
    if device_id is not None:
        meters = [
            meter
            for meter in meters
            if device_id == (meter.load_id if side == "buy" else meter.source_id)
        ]
    if len(meters) == 1:
        return meters[0].meter_id
    known = ", ".join(meter.meter_id for meter in meters) or "none"
    what = f" behind {device_id!r}" if device_id is not None else ""
    raise click.UsageError(
        f"at which meter? of those{what} that can {side}, party {settings.party!r} has {known}: give"
        " --meter"
    )


def _patience_s(settings: Settings, market: "pb.GetMarketResponse", order: "pb.Order") -> float:
    """Until its interval begins, by when all is decided, and what an answer may take."""
    left_ns = order.tender.interval.start_unix_ns - market.now_unix_ns
    return max(0.0, left_ns / NS_PER_S) + settings.timeout_s


def _show_decided(order: "pb.Order", trades: "list[pb.Transaction]", settings: Settings) -> None:
    import sys

    from dgctl.formats import Format
    from dgctl.market import tables
    from dgctl.output import EXIT_REFUSED, as_dict, write_document
    from digitalgrid.columns import parts_text
    from digitalgrid.market.v1 import market_pb2 as pb
    from trading.client.deciding import UNDONE

    if settings.output is Format.TABLE:
        parts = [
            *tables.orders(pb.ListTendersResponse(orders=[order])),
            "",
            *tables.render(pb.ListTransactionsResponse(transactions=trades)),
        ]
        sys.stdout.write(parts_text(parts, sys.stdout))
    else:
        document = {"order": as_dict(order), "transactions": [as_dict(each) for each in trades]}
        write_document(document, settings.output)
    if not any(each.state not in UNDONE for each in trades):
        raise click.exceptions.Exit(EXIT_REFUSED)
