"""Disputes: who may object to a bill, in what words and with what evidence, and whether it was said before."""

import msgspec

from trading.core.readings import Ends, are_same
from trading.core.settlement import LineKind, Party
from trading.core.trades import Objected, Trade
from trading.reasons import MarketReason, Refused

# What a party writes to whoever decides, and what that decides (characters): both are kept with the trade.
MAX_STATEMENT = 1_000
# What a party names as evidence, each by an id (characters): whoever decides looks each of them up.
MAX_EVIDENCE = 16
MAX_REFERENCE = 128


class Objection(msgspec.Struct, frozen=True):
    """A party's word. ``evidence``: ids of readings, of entries of the log, of circuits, or the like."""

    line: LineKind
    statement: str = ""
    evidence: tuple[str, ...] = ()

    def of(self, role: Party) -> Objected:
        """Raises Refused where it is not fit to be kept and shown."""
        check_statement(self.statement)
        check_evidence(self.evidence)
        return Objected(self.line, role, self.statement, self.evidence)


def role_of(party: str, trade: Trade) -> Party:
    """Raises Refused."""
    for role, name in ((Party.BUYER, trade.buyer), (Party.SELLER, trade.seller)):
        if name == party:
            return role
    raise Refused(
        MarketReason.NOT_A_PARTY, f"{party} neither buys nor sells in trade {trade.trade_id!r}"
    )


def has_objected(trade: Trade, party: str, objection: Objection) -> bool:
    """Whether a party has said so: an answer that was lost is asked for again."""
    if trade.objected is None or trade.objected_by is None:
        return False
    by = trade.buyer if trade.objected_by is Party.BUYER else trade.seller
    said = Objection(trade.objected, trade.statement, trade.evidence)
    return (by, said) == (party, objection)


def has_decided(trade: Trade, ends: tuple[Ends, ...], decision: str) -> bool:
    """Likewise whether a dispute was decided so."""
    return trade.is_decided and trade.decision == decision and are_same(trade.ends, ends)


def check_statement(statement: str, name: str = "statement") -> None:
    """Of words that are kept with a trade and shown in terminals, a party's or the operator's. Raises Refused."""
    if len(statement) > MAX_STATEMENT or not statement.isprintable():
        raise Refused(
            MarketReason.STATEMENT_UNFIT,
            f"{name} has {len(statement)} characters; it must be up to {MAX_STATEMENT} printable ones",
            name,
        )


def check_evidence(evidence: tuple[str, ...]) -> None:
    """Raises Refused."""
    if len(evidence) > MAX_EVIDENCE:
        raise Refused(
            MarketReason.EVIDENCE_UNFIT,
            f"{len(evidence)} references are given as evidence; {MAX_EVIDENCE} are the most",
            "evidence",
        )
    for at, reference in enumerate(evidence):
        if not 0 < len(reference) <= MAX_REFERENCE or not reference.isprintable():
            raise Refused(
                MarketReason.EVIDENCE_UNFIT,
                f"evidence[{at}] has {len(reference)} characters; it must be 1 to {MAX_REFERENCE} printable ones",
                "evidence",
            )
