"""The group of verbs ``dgctl market``."""

import click
from click.core import ParameterSource

from dgctl.market.bills import dispute, explain, receipt, resolve, settle
from dgctl.market.log import compare, log, verify, witness
from dgctl.market.looking import balance, book, clear, clearings, position, status, tenders, trades
from dgctl.market.meters import meter
from dgctl.market.money import deposit, refund, rotate_key, withdraw
from dgctl.market.options import signs
from dgctl.market.tendering import cancel, forecast, tender
from dgctl.options import Settings


@click.group()
@signs
@click.pass_context
def market(context: click.Context) -> None:
    """Trades energy: tenders, trades, bills, and the ledger of a market.

    Energy is written like 700Wh or 1.5kWh, prices per kWh like 0.22, and money like 12.50.
    """
    root = context.find_root()
    settings = context.ensure_object(Settings)
    # Said to the whole program, an address is that of whom this verb asks.
    is_said = root.get_parameter_source("server") is ParameterSource.COMMANDLINE
    own = context.get_parameter_source("market_server")
    if is_said and own is not ParameterSource.COMMANDLINE:
        settings.market_server = settings.server


for _verb in (
    *(status, tender, tenders, cancel, book, clear, clearings, trades, position),
    *(explain, settle, receipt, dispute, resolve),
    *(balance, deposit, withdraw, refund, log, verify, witness, rotate_key),
    *(meter, compare, forecast),
):
    market.add_command(_verb)
