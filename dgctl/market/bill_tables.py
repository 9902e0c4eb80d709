"""Bills as tables for people: each line with how it comes about, and how sure what was metered is."""

from collections.abc import Iterable, Iterator

from dgctl.market import wording
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.market.v1 import market_pb2 as pb


def bill(settlement: pb.Settlement) -> list[Part]:
    """Each line with how it comes about, and what each party comes out with."""
    parts: list[Part] = []
    if settlement.disputed:
        parts.append(Styled(_why_disputed(settlement), "red"))
    if settlement.estimated:
        parts.append(Styled(f"estimated: {_why_estimated(settlement)}", "yellow"))
    parts += _said(settlement)
    if not settlement.lines:
        return [*parts, "nobody owes anybody anything"]
    table = Columns("line", "from", "to", ">energy", ">per kWh", ">amount", "as")
    for line in settlement.lines:
        table.add_row(
            line.kind,
            line.payer,
            line.payee,
            *_priced(line),
            wording.money(line.nano),
            line.formula,
        )
    return [*parts, table, "", _sums(settlement.lines)]


def _priced(line: pb.BillLine) -> tuple[str, str]:
    """A fee is of no energy."""
    if not line.micro_per_kwh:
        return "", ""
    return wording.metered(line.energy_mj), wording.price(line.micro_per_kwh)


def _why_estimated(settlement: pb.Settlement) -> str:
    """By how the registers were come by."""
    match settlement.quality:
        case "source only":
            return "the sink's register was never said; what counts comes of the source's, and the path's formula"
        case "last reading":
            return (
                "neither end's register was ever said; what the controller heard last counts, and nobody is blamed"
                " for what neither network nor buyer is known to have caused"
            )
        case _:
            return "no register was ever said, and nothing before it; what is not known is not paid for"


def _why_disputed(settlement: pb.Settlement) -> str:
    if not settlement.objected_by:
        return "disputed: the ends contradict each other; what follows is what neither denies"
    return (
        f"disputed: {settlement.objected_by} objects to the line {settlement.objected_line}; what follows is the bill"
        " that stands unless the operator decides otherwise"
    )


def _said(settlement: pb.Settlement) -> Iterator[Part]:
    """What the parties have written; also once it is decided."""
    if settlement.objected_by:
        said = f": {settlement.statement}" if settlement.statement else ""
        yield f"objected: {settlement.objected_by}, to {settlement.objected_line}{said}"
    if settlement.evidence:
        yield f"evidence: {', '.join(settlement.evidence)}"
    if settlement.decision:
        yield f"decided: {settlement.decision}"


def _sums(lines: Iterable[pb.BillLine]) -> Columns:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.payee] = sums.get(line.payee, 0) + line.nano
        sums[line.payer] = sums.get(line.payer, 0) - line.nano
    table = Columns("comes out with", ">amount")
    for party, nano in sorted(sums.items()):
        table.add_row(party, wording.money(nano))
    table.add_row("all together", wording.money(sum(sums.values())), style="bold")
    return table
