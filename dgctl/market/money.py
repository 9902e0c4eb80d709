"""The verbs of ``dgctl market`` by which its operator lets money in and out."""

import click

from dgctl.market.options import MoneyType, market_client, signer_of, signs
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
