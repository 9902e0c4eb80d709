"""The verbs of ``dgctl market`` that only look: what is open, what waits, what was traded, and for whom."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dgctl.listed import listing_options, show_asked, view_of
from dgctl.market.options import (
    IntervalType,
    market_client,
    names_a_party,
    reads,
    start_ns_of,
)
from dgctl.options import Settings, pass_settings
from digitalgrid.command_line import IdType

F = TypeVar("F", bound=Callable[..., Any])
_INTERVAL = click.option(
    "--interval",
    type=IntervalType(),
    default="next",
    show_default=True,
    metavar="WHEN",
    help="next, +1 for the one after, or when it begins, as 2026-11-30T12:00:00Z.",
)


def _newest(default: int) -> Callable[[F], F]:
    return click.option(
        "--newest",
        type=click.IntRange(1, 1_000_000),
        default=default,
        show_default=True,
        metavar="N",
        help="How many; --filter and --sort choose among these.",
    )


@click.command()
@reads
@pass_settings
def status(settings: Settings) -> None:
    """Shows what the market trades, by which prices, and what is open now."""
    from dgctl.market.output import show

    with market_client(settings) as client:
        answer = client.market()
    show(answer, settings.output)


@click.command()
@click.option("--open", "open_only", is_flag=True, help="Only those of which something waits.")
@_newest(100)
@listing_options
@names_a_party
@pass_settings
def tenders(
    settings: Settings,
    open_only: bool,
    newest: int,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Lists orders, the newest first, of all or of --party."""
    from dgctl.market.lists import ORDERS
    from digitalgrid.market.v1 import market_pb2 as pb

    view = view_of(ORDERS, settings.output, columns, sort, filters)
    with market_client(settings) as client:
        show_asked(
            settings,
            view,
            lambda: client.list_tenders(settings.party, open_only=open_only, newest=newest),
            lambda orders: pb.ListTendersResponse(orders=orders),
            "no orders",
            watch=watch,
            newest=newest,
        )


@click.command()
@_INTERVAL
@reads
@pass_settings
def book(settings: Settings, interval: str) -> None:
    """Shows what waits for an interval, by price; nobody is named."""
    from dgctl.market.output import show

    with market_client(settings) as client:
        answer = client.book(start_ns_of(interval, client.market()))
    show(answer, settings.output)


@click.command()
@_INTERVAL
@click.option(
    "--mechanism",
    type=IdType(optional=True),
    default="",
    metavar="NAME",
    help="How to clear it, such as call, continuous or nodal.  [default: the interval's own]",
)
@click.option("--dry-run", is_flag=True, help="Only shows it, which is all that can be asked for.")
@reads
@pass_settings
def clear(settings: Settings, interval: str, mechanism: str, dry_run: bool) -> None:
    """Shows what would be traded if the gate closed now, and who would go without, and why."""
    if not dry_run:
        raise click.UsageError(
            "the market clears each interval by itself when its gate closes; --dry-run shows what it"
            " would do now"
        )
    from dgctl.market.output import show
    from digitalgrid.market.v1 import market_pb2 as pb

    with market_client(settings) as client:
        start_ns = start_ns_of(interval, client.market())
        cleared = client.preview_clearing(start_ns, mechanism)
    show(pb.PreviewClearingResponse(clearing=cleared), settings.output)


@click.command()
@_newest(12)
@listing_options
@reads
@pass_settings
def clearings(
    settings: Settings,
    newest: int,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Lists how intervals were cleared, the newest first."""
    from dgctl.market.lists import CLEARINGS
    from digitalgrid.market.v1 import market_pb2 as pb

    view = view_of(CLEARINGS, settings.output, columns, sort, filters)
    with market_client(settings) as client:
        show_asked(
            settings,
            view,
            lambda: client.list_clearings(newest),
            lambda found: pb.ListClearingsResponse(clearings=found),
            "no interval has been cleared yet",
            watch=watch,
            newest=newest,
        )


@click.command()
@click.option("--open", "open_only", is_flag=True, help="Only those that have not ended.")
@click.option(
    "--interval",
    type=IntervalType(),
    metavar="WHEN",
    help="next, +1 for the one after, or when it begins, as 2026-11-30T12:00:00Z.  [default: all]",
)
@_newest(100)
@listing_options
@names_a_party
@pass_settings
def trades(
    settings: Settings,
    open_only: bool,
    interval: str | None,
    newest: int,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Lists trades, the newest first, of all or of --party."""
    from dgctl.market.lists import TRADES
    from digitalgrid.market.v1 import market_pb2 as pb

    view = view_of(TRADES, settings.output, columns, sort, filters)
    with market_client(settings) as client:
        start_ns = start_ns_of(interval, client.market()) if interval else 0
        show_asked(
            settings,
            view,
            lambda: client.list_transactions(
                settings.party, start_ns, open_only=open_only, newest=newest
            ),
            lambda found: pb.ListTransactionsResponse(transactions=found),
            "no trades",
            watch=watch,
            newest=newest,
        )


@click.command()
@listing_options
@names_a_party
@pass_settings
def position(
    settings: Settings,
    columns: str | None,
    sort: tuple[str, ...],
    filters: tuple[str, ...],
    watch: bool,
) -> None:
    """Shows what meters have sold and bought, and may still; all, or those of --party."""
    from dgctl.market.lists import POSITIONS
    from digitalgrid.market.v1 import market_pb2 as pb

    view = view_of(POSITIONS, settings.output, columns, sort, filters)
    with market_client(settings) as client:
        show_asked(
            settings,
            view,
            lambda: client.list_positions(settings.party),
            lambda found: pb.ListPositionsResponse(positions=found),
            "no positions",
            watch=watch,
        )


@click.command()
@click.argument("account", metavar="ACCOUNT", type=IdType(), required=False)
@names_a_party
@pass_settings
def balance(settings: Settings, account: str | None) -> None:
    """Shows what an account has, free and in escrow; that of --party where none is named."""
    if not account and not settings.party:
        raise click.UsageError("whose? name an ACCOUNT, or give --party (or DGM_PARTY)")
    from dgctl.market.output import show

    with market_client(settings) as client:
        answer = client.balance(account or settings.party)
    show(answer, settings.output)
