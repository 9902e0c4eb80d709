"""The verbs of ``dgctl market`` by which money comes in, leaves, or goes back, and the log gets another key."""

import click

from dgctl.market.options import MoneyType, market_client, signer_of, signs, trade_argument
from dgctl.options import Settings, pass_settings
from digitalgrid.command_line import IdType

_ACCOUNT = click.argument("account", metavar="ACCOUNT", type=IdType())
_AMOUNT = click.argument("nano", metavar="AMOUNT", type=MoneyType())
_ID = click.option(
    "--id",
    "key",
    type=IdType(optional=True),
    default="",
    metavar="ID",
    help="Makes a retry idempotent: under one id it is done once.",
)


def _check_amount(nano: int) -> None:
    if nano <= 0:
        raise click.UsageError(
            "an amount is above 0; `deposit` and `withdraw` say which way it goes"
        )


@click.command()
@_ACCOUNT
@_AMOUNT
@_ID
@signs
@pass_settings
def deposit(settings: Settings, account: str, nano: int, key: str) -> None:
    """Lets money in, to an account: by the market's operator only."""
    from dgctl.market.output import show

    _check_amount(nano)
    with market_client(settings, signer_of(settings)) as client:
        answer = client.deposit(account, nano, key)
    show(answer, settings.output)


@click.command()
@_ACCOUNT
@_AMOUNT
@_ID
@signs
@pass_settings
def withdraw(settings: Settings, account: str, nano: int, key: str) -> None:
    """Lets money out, of what an account has free: by the market's operator only."""
    from dgctl.market.output import show

    _check_amount(nano)
    with market_client(settings, signer_of(settings)) as client:
        answer = client.withdraw(account, nano, key)
    show(answer, settings.output)


@click.command()
@trade_argument
@signs
@pass_settings
def refund(settings: Settings, trade_id: str) -> None:
    """Brings back what is in the escrow of a trade that nobody has closed in time, to whom it was: by any party.

    That is a day after its bill must be paid; a market that works has paid it long before, and one that still has the
    trade open pays it.
    """
    from dgctl.market.output import show

    with market_client(settings, signer_of(settings)) as client:
        answer = client.refund(trade_id)
    show(answer, settings.output)


@click.command("rotate-key")
@_ID
@signs
@pass_settings
def rotate_key(settings: Settings, key: str) -> None:
    """Gives the log another key, that the market makes: by the market's operator only.

    As when somebody may have read the present one. The log says which is the next, signed with the one before: what
    was signed until then stays good, and witnesses follow.
    """
    from dgctl.market.output import show

    with market_client(settings, signer_of(settings)) as client:
        answer = client.rotate_key(key)
    show(answer, settings.output)
