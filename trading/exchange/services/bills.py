"""Bills as messages: each line with the formula that it comes of, and the registers and causes behind it."""

from collections.abc import Iterable

from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import PPM
from trading.core.attribution import BLAME, within
from trading.core.readings import Ends, Quality, Reading, trail_of
from trading.core.settlement import Line, LineKind, Party, Settlement
from trading.core.trades import State, Trade, evidence_in
from trading.core.units import Millijoule

_QUALITIES = {
    Quality.BOTH_ENDS: "both ends",
    Quality.SINK_ONLY: "sink only",
    Quality.SOURCE_ONLY: "source only",
    Quality.LAST_READING: "last reading",
    Quality.UNREAD: "unread",
}
# What of the energy each line is for.
_OF = {
    LineKind.ENERGY: "delivered, up to what was bought",
    LineKind.NETWORK: "delivered, times what prices of both routers differ by",
    LineKind.TOLL: "delivered, times the tolls of the path",
    LineKind.SHORTFALL: "bought, less delivered, curtailed and refused",
    LineKind.REFUSAL: "refused by the buyer",
    LineKind.OVERDRAW: "delivered beyond what was bought",
    LineKind.CURTAILMENT: "curtailed by the network",
    LineKind.LOSS: "injected, less delivered",
}


def settlement_to_pb(trade: Trade, settlement: Settlement, operator: str) -> pb.Settlement:
    evidence, shares = evidence_in(trade), settlement.shares
    accounts = {Party.BUYER: trade.buyer, Party.SELLER: trade.seller, Party.OPERATOR: operator}
    return pb.Settlement(
        trade_id=trade.trade_id,
        lines=[_line(each, accounts, _formula(each, trade)) for each in settlement.lines],
        outcome=settlement.outcome,
        contract_mj=trade.terms.contract,
        injected_mj=evidence.injected,
        delivered_mj=evidence.delivered,
        short_mj=shares.short,
        curtailed_mj=shares.curtailed,
        refused_mj=shares.refused,
        unknown_mj=shares.unknown,
        quality=_QUALITIES[evidence.quality],
        estimated=evidence.is_estimated,
        disputed=trade.state is State.DISPUTED,
        missed=[
            pb.MissedEnergy(
                from_unix_ns=each.from_ns,
                to_unix_ns=each.to_ns,
                cause=each.cause,
                blame=BLAME[each.cause],
                missing_mj=each.missing_mj,
            )
            for each in within(trade.missed, trade.interval)
        ],
        deliveries=map(_delivery, trade.ends),
        final_unix_ns=trade.until_ns or 0,
        objected_line=trade.objected or "",
        objected_by=accounts[trade.objected_by] if trade.objected_by else "",
        statement=trade.statement,
        decision=trade.decision,
        evidence=trade.evidence,
    )


def _formula(line: Line, trade: Trade) -> str:
    if line.kind is not LineKind.FEE or trade.settlement is None:
        return f"{line.energy} mJ ({_OF[line.kind]}) x {line.price} / 3600000, rounded down"
    lines = trade.settlement.lines
    nano = sum(each.nano for each in lines if each.kind is trade.objected)
    ppm = trade.terms.tariff.dispute_fee_ppm
    return f"{nano} nano ({trade.objected}, objected to in vain) x {ppm} / {PPM}, rounded down"


def _line(line: Line, accounts: dict[Party, str], formula: str) -> pb.BillLine:
    return pb.BillLine(
        kind=line.kind,
        payer=accounts[line.payer],
        payee=accounts[line.payee],
        energy_mj=line.energy,
        micro_per_kwh=line.price,
        nano=line.nano,
        formula=formula,
    )


def _delivery(ends: Ends) -> pb.Delivery:
    delivery = pb.Delivery(generation=ends.generation)
    injected, delivered = _last(ends.source), _last(ends.sink)
    if injected is not None:
        delivery.injected_mj = injected
    if delivered is not None:
        delivery.delivered_mj = delivered
    return delivery


def _last(readings: Iterable[Reading]) -> Millijoule | None:
    last = trail_of(readings).last
    return None if last is None else last.register
