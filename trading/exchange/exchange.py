"""What the services of an exchange are made of: its market by way of the runtime, its ledger."""

from dataclasses import dataclass

from trading.exchange.config import ExchangeConfig
from trading.exchange.controller_port import ControllerPort
from trading.exchange.ledger_port import LedgerPort
from trading.exchange.mandates import Mandates
from trading.exchange.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Exchange:
    """``secret``: of the salts of terms (see :mod:`.terms`)."""

    config: ExchangeConfig
    runtime: Runtime
    ledger: LedgerPort
    controller: ControllerPort
    mandates: Mandates
    secret: bytes
