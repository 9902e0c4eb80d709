"""SettlementService: bills, receipts, and what an operator decides about a disputed one."""

from typing import Any

from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1.market_pb2_grpc import SettlementServiceServicer
from digitalgrid.printable import quoted
from trading.core.orders import PPM
from trading.core.readings import Ends, Reading, most_register
from trading.core.settlement import DISPUTABLE, LineKind
from trading.core.trades import Trade
from trading.core.units import Millijoule
from trading.exchange.exchange import Exchange
from trading.exchange.services.bills import settlement_to_pb
from trading.exchange.services.codec import transaction_to_pb
from trading.exchange.services.hearing import Hearing
from trading.exchange.services.market import trade_of
from trading.exchange.services.receipts import receipt_of
from trading.exchange.terms import salt_of, terms_bytes
from trading.market.disputes import Objection, has_decided
from trading.reasons import MarketReason, Refused


class SettlementService(SettlementServiceServicer):
    def __init__(self, exchange: Exchange, hearing: Hearing) -> None:
        self._exchange = exchange
        self._hearing = hearing

    async def GetSettlement(
        self, request: pb.GetSettlementRequest, context: Any
    ) -> pb.GetSettlementResponse:
        record = await trade_of(self._exchange, request.trade_id)
        return pb.GetSettlementResponse(
            transaction=transaction_to_pb(record), settlement=self._bill(record.trade)
        )

    async def GetReceipt(
        self, request: pb.GetReceiptRequest, context: Any
    ) -> pb.GetReceiptResponse:
        trade = (await trade_of(self._exchange, request.trade_id)).trade
        terms, salt = terms_bytes(trade), salt_of(self._exchange.secret, trade.trade_id)
        receipt = await self._exchange.ledger.ask(
            lambda book: receipt_of(book, trade.trade_id, terms, salt)
        )
        return pb.GetReceiptResponse(receipt=receipt)

    async def OpenDispute(
        self, request: pb.OpenDisputeRequest, context: Any
    ) -> pb.OpenDisputeResponse:
        """The same again changes nothing; what comes of other figures than the line does is paid all the same."""
        party = self._exchange.mandates.party_of("OpenDispute", request)
        trade = (await trade_of(self._exchange, request.trade_id)).trade
        if request.line not in DISPUTABLE:
            raise Refused(MarketReason.LINE_UNKNOWN, f"line is {quoted(request.line)}", "line")
        objection = Objection(LineKind(request.line), request.statement, tuple(request.evidence))
        nonce = request.mandate.nonce
        async with self._hearing.turn(party, nonce):
            after = await self._exchange.runtime.object_to(party, nonce, trade.trade_id, objection)
        return pb.OpenDisputeResponse(settlement=self._bill(after))

    async def ResolveDispute(
        self, request: pb.ResolveDisputeRequest, context: Any
    ) -> pb.ResolveDisputeResponse:
        """Changes nothing where it is no dispute, or the decision would take back what was paid."""
        self._exchange.mandates.check_operator("ResolveDispute", request)
        trade = (await trade_of(self._exchange, request.trade_id)).trade
        ends = _decided(trade, request) if request.deliveries else trade.ends
        if not has_decided(trade, ends, request.decision):
            mandate = request.mandate
            trade = await self._exchange.runtime.resolve(
                mandate.party, mandate.nonce, trade.trade_id, ends, request.decision
            )
        return pb.ResolveDisputeResponse(settlement=self._bill(trade))

    def _bill(self, trade: Trade) -> pb.Settlement:
        if trade.settlement is None:
            raise Refused(
                MarketReason.NO_BILL, f"trade {trade.trade_id!r} is {trade.state}", "trade_id"
            )
        operator = trade.operator or self._exchange.runtime.market.settings.operator
        return settlement_to_pb(trade, trade.settlement, operator)


def _decided(trade: Trade, request: pb.ResolveDisputeRequest) -> tuple[Ends, ...]:
    """What counts instead of what routers said, of each generation that is named."""
    named = {each.generation: each for each in request.deliveries}
    known = {each.generation: each for each in trade.ends}
    ends = []
    for generation in sorted({*named, *known}):
        each = named.get(generation)
        if each is None:
            ends.append(known[generation])
            continue
        ppm = known[generation].injected_ppm if generation in known else trade.injected_ppm
        most_mj = most_register(trade.terms.contract)
        source = _reading(each.injected_mj, most_mj) if each.HasField("injected_mj") else ()
        sink = _reading(each.delivered_mj, most_mj) if each.HasField("delivered_mj") else ()
        ends.append(Ends(source, sink, max(PPM, ppm), generation=generation))
    return tuple(ends)


def _reading(register_mj: int, most_mj: int) -> tuple[Reading, ...]:
    if not 0 <= register_mj <= most_mj:
        raise Refused(
            MarketReason.REGISTER_OUT_OF_RANGE,
            f"a register of {register_mj} mJ is none: it is from 0 to {most_mj}",
            "deliveries",
        )
    return (Reading(0, 0, Millijoule(register_mj)),)
