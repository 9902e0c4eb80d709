"""Settlement: from two registers and a list of causes to the lines of a bill, in whole nanos.

Each line is one payment from one party to another, so the bill of all together is 0 by construction. What buyer and
seller lock before is enough for every line that can come, whatever meters say.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from digitalgrid.limits import MAX_INT64
from digitalgrid.units import PPM
from trading.core.attribution import Missed, Shares, shares_of
from trading.core.readings import Evidence
from trading.core.units import (
    MicroPerKwh,
    Millijoule,
    Nano,
    Wh,
    amount,
    due,
    millijoules,
)


class Party(StrEnum):
    """Whose money moves."""

    BUYER = "buyer"
    SELLER = "seller"
    OPERATOR = "operator"


class LossPayer(StrEnum):
    """Who pays for what lines and converters lose; nobody where prices have it already."""

    BUYER = "buyer"
    SELLER = "seller"
    INCLUDED = "included"


class LineKind(StrEnum):
    ENERGY = "energy"
    NETWORK = "network"  # what prices of routers differ by
    TOLL = "toll"
    SHORTFALL = "shortfall"
    REFUSAL = "refusal"
    OVERDRAW = "overdraw"
    CURTAILMENT = "curtailment"
    LOSS = "loss"
    FEE = "fee"  # of whoever objected in vain


# What a party may object to.
DISPUTABLE = frozenset(LineKind) - {LineKind.FEE}
# What is frozen with a line that is objected to: all that comes of the same figure. A sink's register is in every line,
# causes are in those of what was not delivered, and a source's register in that of the loss only.
_CAUSED = frozenset({LineKind.SHORTFALL, LineKind.REFUSAL, LineKind.CURTAILMENT})
_FROZEN = dict.fromkeys(LineKind, frozenset(LineKind))
_FROZEN |= dict.fromkeys(_CAUSED, _CAUSED) | {LineKind.LOSS: frozenset({LineKind.LOSS})}


class Tariff(msgspec.Struct, frozen=True):
    """A market's prices (micro per kWh) for what does not go as agreed. All but the utility's are at least 0.

    A seller who falls short makes the buyer whole: the difference to ``utility_price``, at which the buyer gets the
    rest. ``firm_price`` is what the operator pays for what the network curtailed; ``overdraw_price`` what is paid for
    more than was bought, up to ``max_over``. ``dispute_fee_ppm``: millionths of a line, which whoever objected to it in
    vain pays to the operator.
    """

    utility_price: MicroPerKwh = MicroPerKwh(300_000)
    refusal_price: MicroPerKwh = MicroPerKwh(0)
    firm_price: MicroPerKwh = MicroPerKwh(0)
    overdraw_price: MicroPerKwh = MicroPerKwh(0)
    max_over: Millijoule = Millijoule(0)
    loss_price: MicroPerKwh = MicroPerKwh(100_000)
    loss_payer: LossPayer = LossPayer.INCLUDED
    dispute_fee_ppm: int = 0

    def without_losses(self) -> "Tariff":
        """Where prices have losses in them already."""
        return msgspec.structs.replace(self, loss_payer=LossPayer.INCLUDED)


class Terms(msgspec.Struct, frozen=True):
    """What a trade is about, frozen when its circuit is held: a reroute costs the operator, not the parties.

    ``toll_price`` is what the path's tolls come to per kWh delivered, ``max_loss`` the most that is ever paid for.
    """

    wh: Wh
    buyer_price: MicroPerKwh
    seller_price: MicroPerKwh
    tariff: Tariff = Tariff()
    toll_price: MicroPerKwh = MicroPerKwh(0)
    max_loss: Millijoule = Millijoule(0)

    def __post_init__(self) -> None:
        tariff = self.tariff
        kept = (tariff.refusal_price, tariff.firm_price, tariff.overdraw_price, tariff.loss_price)
        others = (self.toll_price, self.max_loss, tariff.max_over, tariff.dispute_fee_ppm)
        if min(*kept, *others) < 0:
            raise ValueError(f"a price of a tariff is below 0: {tariff}, toll {self.toll_price}")
        if self.wh <= 0 or self.buyer_price < self.seller_price:
            raise ValueError(
                f"no trade: {self.wh} Wh at {self.buyer_price} for {self.seller_price}"
            )

    @property
    def contract(self) -> Millijoule:
        return millijoules(self.wh)

    @property
    def shortfall_price(self) -> MicroPerKwh:
        return MicroPerKwh(max(0, self.tariff.utility_price - self.buyer_price))

    @property
    def refusal_price(self) -> MicroPerKwh:
        """Take or pay, but never more than was agreed for taking."""
        return MicroPerKwh(min(self.tariff.refusal_price, max(0, self.buyer_price)))


class Locks(msgspec.Struct, frozen=True):
    """What each locks before the trade is agreed; whatever is left comes back."""

    buyer: Nano
    seller: Nano
    operator: Nano

    @property
    def is_countable(self) -> bool:
        """Whether a ledger, which counts in 64 bits, can lock it, and all of it together."""
        return self.buyer + self.seller + self.operator <= MAX_INT64

    def of(self, party: Party) -> Nano:
        locked: Nano = getattr(self, party.value)
        return locked

    def without(self, party: Party, nano: Nano) -> "Locks":
        """What is left when so much of one's was paid."""
        return msgspec.structs.replace(self, **{party.value: self.of(party) - nano})


def locks_of(terms: Terms) -> Locks:
    """The most that each can come to owe."""
    tariff = terms.tariff
    # What is taken, what is refused and what is short add up to no more than the contract, so each has to cover the
    # dearest of what it can be due for.
    buyer = int(amount(terms.wh, MicroPerKwh(max(0, terms.buyer_price) + terms.toll_price)))
    buyer += due(tariff.max_over, tariff.overdraw_price)
    seller = int(amount(terms.wh, MicroPerKwh(max(-terms.seller_price, terms.shortfall_price, 0))))
    loss = due(terms.max_loss, tariff.loss_price)
    if tariff.loss_payer is LossPayer.BUYER:
        buyer += loss
    elif tariff.loss_payer is LossPayer.SELLER:
        seller += loss
    operator = due(terms.contract, tariff.firm_price)
    # No line comes to more than all that is locked for lines, and either may object to it in vain.
    fee = _share(buyer + seller + operator, tariff.dispute_fee_ppm)
    return Locks(Nano(buyer + fee), Nano(seller + fee), operator)


class Line(msgspec.Struct, frozen=True):
    """One line of the bill: ``nano`` is what ``energy`` at ``price`` comes to. Neither is below 0: where a price of the
    trade is, ``payer`` and ``payee`` have changed places. A fee is of another line, and of no energy.
    """

    kind: LineKind
    payer: Party
    payee: Party
    energy: Millijoule
    price: MicroPerKwh
    nano: Nano


class Posting(msgspec.Struct, frozen=True):
    """One number with two legs: out of what ``payer`` has locked, to ``payee``; a payer's own is what is given back."""

    payer: Party
    payee: Party
    nano: Nano


class Outcome(StrEnum):
    WHOLE = "whole"
    PART = "part"
    NOTHING = "nothing"


class Settlement(msgspec.Struct, frozen=True):
    """``lines``, without those of 0; ``shares``: what was not delivered, and whose that is."""

    lines: tuple[Line, ...]
    shares: Shares
    outcome: Outcome


def settle(terms: Terms, evidence: Evidence, missed: Iterable[Missed] = ()) -> Settlement:
    """The bill. A disputed one is for what is undisputed only, and blames nobody yet."""
    taken = evidence.undisputed if evidence.is_disputed else evidence.delivered
    bought = Millijoule(min(taken, terms.contract))
    undelivered = Millijoule(terms.contract - bought)
    is_known = evidence.is_metered and not evidence.is_disputed
    causes = () if evidence.is_disputed else missed
    shares = shares_of(undelivered, causes, is_metered=is_known)
    over = Millijoule(max(0, taken - terms.contract) if is_known else 0)
    loss = Millijoule(max(0, evidence.injected - taken))
    lines = [
        *_energy(terms, bought),
        *_failures(terms, shares, over),
        _loss(terms, loss if is_known else Millijoule(0)),
    ]
    outcome = Outcome.WHOLE if not undelivered else Outcome.PART if bought else Outcome.NOTHING
    return Settlement(tuple(line for line in lines if line.nano), shares, outcome)


def _energy(terms: Terms, bought: Millijoule) -> list[Line]:
    """What changes hands at the price of both, what each pays beyond it to the operator, and the path's tolls.

    Below a price of 0 the seller pays to be rid of his energy.
    """
    buyer, seller, operator = Party.BUYER, Party.SELLER, Party.OPERATOR
    paid, earned = terms.buyer_price, terms.seller_price
    common = min(max(earned, 0), paid) if paid >= 0 else paid
    payer, payee = (buyer, seller) if common >= 0 else (seller, buyer)
    from_buyer = MicroPerKwh(max(0, paid) - max(0, common))
    from_seller = MicroPerKwh(max(0, -earned) - max(0, -common))
    return [
        _line(LineKind.ENERGY, payer, payee, bought, MicroPerKwh(abs(common))),
        _line(LineKind.NETWORK, buyer, operator, bought, from_buyer),
        _line(LineKind.NETWORK, seller, operator, bought, from_seller),
        _line(LineKind.TOLL, buyer, operator, bought, terms.toll_price),
    ]


def _failures(terms: Terms, shares: Shares, over: Millijoule) -> list[Line]:
    tariff = terms.tariff
    counted = Millijoule(min(over, tariff.max_over))
    buyer, seller, operator = Party.BUYER, Party.SELLER, Party.OPERATOR
    return [
        _line(LineKind.SHORTFALL, seller, buyer, shares.short, terms.shortfall_price),
        _line(LineKind.REFUSAL, buyer, seller, shares.refused, terms.refusal_price),
        _line(LineKind.OVERDRAW, buyer, seller, counted, tariff.overdraw_price),
        _line(LineKind.CURTAILMENT, operator, buyer, shares.curtailed, tariff.firm_price),
    ]


def _loss(terms: Terms, loss: Millijoule) -> Line:
    payer = terms.tariff.loss_payer
    is_included = payer is LossPayer.INCLUDED
    counted = Millijoule(0 if is_included else min(loss, terms.max_loss))
    who = Party.SELLER if payer is LossPayer.SELLER else Party.BUYER
    return _line(LineKind.LOSS, who, Party.OPERATOR, counted, terms.tariff.loss_price)


def _line(
    kind: LineKind, payer: Party, payee: Party, energy: Millijoule, price: MicroPerKwh
) -> Line:
    return Line(kind, payer, payee, energy, price, due(energy, price))


def undisputed(lines: Iterable["Line"], objected: LineKind) -> tuple["Line", ...]:
    """Those that stand, whatever is decided about one of them."""
    return tuple(line for line in lines if line.kind not in _FROZEN[objected])


def fee_of(
    terms: Terms,
    lines: Iterable[Line],
    before: Iterable[Line],
    objected: LineKind | None,
    by: Party | None,
) -> tuple[Line, ...]:
    """What is due from whoever objected in vain: the line is decided to be as it was ``before``. Where ends contradict,
    nobody has lost.
    """
    if objected is None or by is None:
        return ()
    stands = [each for each in lines if each.kind is objected]
    if stands != [each for each in before if each.kind is objected]:
        return ()
    nano = _share(sum(each.nano for each in stands), terms.tariff.dispute_fee_ppm)
    none = (Millijoule(0), MicroPerKwh(0))
    return (Line(LineKind.FEE, by, Party.OPERATOR, *none, nano),) if nano else ()


def _share(nano: int, ppm: int) -> Nano:
    """Rounded towards nothing, as what is due for energy is."""
    return Nano(nano * ppm // PPM)


def postings_of(lines: Sequence[Line], locks: Locks) -> tuple[Posting, ...]:
    """All that is locked, to the last nano: what lines say, and the rest back to whoever locked it."""
    left = {party: int(locks.of(party)) for party in Party}
    postings = []
    for line in lines:
        postings.append(Posting(line.payer, line.payee, line.nano))
        left[line.payer] -= line.nano
    if min(left.values()) < 0:
        raise ValueError(f"lines come to more than is locked: {left}")
    postings += [Posting(party, party, Nano(nano)) for party, nano in left.items() if nano]
    return tuple(postings)


def paid_before(lines: Sequence[Line], before: Sequence[Line]) -> tuple[Line, ...]:
    """What is still to be paid of each line when some of it was: the undisputed part of a trade that was disputed.

    Raises ValueError where less is due than was paid: what was undisputed stays so.
    """
    paid = {(line.kind, line.payer): line.nano for line in before}
    rest = []
    for line in lines:
        nano = Nano(line.nano - paid.pop((line.kind, line.payer), 0))
        if nano < 0:
            raise ValueError(f"{line.kind} of {line.nano} is less than what was paid of it")
        if nano:
            rest.append(msgspec.structs.replace(line, nano=nano))
    if any(paid.values()):
        raise ValueError(f"paid, and not due any more: {sorted(kind for kind, _ in paid)}")
    return tuple(rest)
