"""A meter at two exchanges at one time: by claims, replays, forgeries, others' proofs, and in the moment of a move."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.attacks import Street, repelled
from tests.support.ledgers import Clock
from tests.support.market_settings import SETTINGS
from tests.support.meters import (
    METER,
    OTHER_METER,
    asked,
    depart,
    log,
    register,
    registration,
    resigned,
    served,
    standing,
)
from trading.client.moving import registration_of
from trading.core.positions import Positions
from trading.exchange.services.meters import MeterService
from trading.ledger import departures, registry
from trading.ledger.departures import Departed
from trading.ledger.keys import Domain, SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.merkle import Tree, leaf_hash
from trading.ledger.refusals import LedgerRefused
from trading.market.moves import Moves
from trading.reasons import Refused

pytestmark = pytest.mark.attack

ANYTHING_SIGNED = patch.object(departures, "is_signed", lambda *_: True)
Move = Callable[[], tuple[Ledger, Ledger]]


def both_have_it(move: Move) -> bool:
    """Whether two logs end with the same meter, whatever was refused on the way."""
    with suppress(LedgerRefused, Refused):
        first, second = move()
        return (
            first.registered(METER.public_key)
            is not None
            is not second.registered(METER.public_key)
        )
    return False


def test_an_exchange_does_not_claim_a_meter_that_has_not_said_so() -> None:
    def claim() -> tuple[Ledger, Ledger]:
        here, there = log(1), log(2)
        register(here)
        certificate = pb.MeterCertificate.FromString(registration(there).certificate)
        claimed = resigned(certificate, OTHER_METER)
        there.write("claim", pb.Entry(registration=claimed))
        return here, there

    repelled(lambda: both_have_it(claim), lambda: [ANYTHING_SIGNED])


def test_what_a_meter_has_said_to_one_exchange_is_no_word_to_another() -> None:
    def reuse() -> tuple[Ledger, Ledger]:
        here, there = log(1), log(2)
        said = registration(here)
        here.write("here", pb.Entry(registration=said))
        certificate = pb.MeterCertificate.FromString(said.certificate)
        certificate.log_id = there.log_id
        said.certificate = certificate.SerializeToString(deterministic=True)
        there.write("there", pb.Entry(registration=said))
        return here, there

    repelled(lambda: both_have_it(reuse), lambda: [ANYTHING_SIGNED])


def test_a_release_of_an_older_epoch_brings_no_meter_back() -> None:
    def replay() -> tuple[Ledger, Ledger]:
        here, there = log(1), log(2)
        register(here)
        old = depart(here, there.log_id)
        register(there, old)
        register(here, depart(there, here.log_id))
        register(there, old)
        return here, there

    def unseen(
        before: registry.Stay | None, came: Departed | None, log_id: bytes
    ) -> tuple[int, int]:
        return (came.notice.epoch, 0) if came else (0, 0)

    repelled(lambda: both_have_it(replay), lambda: [patch.object(registry, "_left", unseen)])


@pytest.mark.parametrize("whose", ["of another meter", "to another exchange"])
def test_a_proof_of_another_release_is_none(whose: str) -> None:
    def borrow() -> tuple[Ledger, Ledger]:
        here, there, third = log(1), log(2), log(3)
        register(here)
        if whose == "of another meter":
            register(here, key=OTHER_METER)
            register(there, depart(here, there.log_id, OTHER_METER))
            return here, there
        # One release, and two that take the meter for it.
        departure = depart(here, there.log_id)
        register(there, departure)
        register(third, departure)
        return there, third

    unseen = patch.object(registry, "_check_for_here", lambda *_: None)
    repelled(lambda: both_have_it(borrow), lambda: [unseen])


def made_up(here: Ledger, there: Ledger, key: SigningKey) -> pb.MeterDeparture:
    """A release that stands in no log, beneath a head that somebody else has made for it."""
    notice = pb.MeterNotice(
        meter_public_key=METER.public_key, log_id=here.log_id, epoch=1, to_log_id=there.log_id
    ).SerializeToString(deterministic=True)
    # The meter is in it.
    signature = METER.sign(Domain.METER_RELEASE, here.log_id, notice)
    entry = pb.Entry(
        seq=1, at_unix_ns=900, release=pb.MeterRelease(notice=notice, signature=signature)
    )
    content = entry.SerializeToString(deterministic=True)
    (first,) = here.entries(0, 1)
    tree = Tree()
    tree.append(leaf_hash(first.entry))
    tree.append(leaf_hash(content))
    head = pb.TreeHead(
        log_id=here.log_id, size=2, root=tree.root(), at_unix_ns=900
    ).SerializeToString(deterministic=True)
    signed = key.sign(Domain.ENTRY, here.log_id, content)
    signature = key.sign(Domain.TREE_HEAD, here.log_id, head)
    return pb.MeterDeparture(
        keys=[first],
        # Said to be of the log's key, whoever has signed it.
        release=pb.SignedEntry(entry=content, key_id=first.key_id, signature=signed),
        inclusion=tree.inclusion(1, 2),
        head=pb.SignedTreeHead(head=head, key_id=first.key_id, signature=signature),
    )


def test_a_head_that_the_log_has_not_signed_proves_nothing() -> None:
    def forge() -> tuple[Ledger, Ledger]:
        here, there = log(1), log(2)
        register(here)
        register(there, made_up(here, there, OTHER_METER))
        return here, there

    repelled(lambda: both_have_it(forge), lambda: [ANYTHING_SIGNED])


def test_an_entry_that_is_not_beneath_the_head_proves_nothing() -> None:
    def swap() -> tuple[Ledger, Ledger]:
        here, there = log(1), log(2)
        register(here)
        # Signed by it, and in another history of it.
        departure = made_up(here, there, here._signer)
        departure.head.CopyFrom(here.head())
        register(there, departure)
        return here, there

    repelled(
        lambda: both_have_it(swap), lambda: [patch.object(departures, "includes", lambda *_: True)]
    )


def test_a_log_that_its_party_has_made_for_the_purpose_is_no_exchanges() -> None:
    def make() -> tuple[Ledger, Ledger]:
        here, own = log(1), log(7)
        service = served(known=[here])
        register(here)
        register(own)
        asked(service, depart(own, service.book.log_id))
        return here, service.book

    def unchecked() -> list[Any]:
        named = ("_check_known", "_check_current")
        return [patch.object(MeterService, each, lambda *_: None) for each in named]

    repelled(lambda: both_have_it(make), unchecked)


def test_a_key_that_its_log_has_given_up_proves_nothing_to_whoever_knows_the_next() -> None:
    """Stolen, with which a log of the same beginning is made up; the meter's own party is in it."""

    def forge() -> tuple[Ledger, Ledger]:
        here = log(1)
        stolen = here._signer
        here.rotate(SigningKey.new())
        service = served(known=[here])
        register(here)
        asked(service, made_up(here, service.book, stolen))
        return here, service.book

    unchecked = patch.object(MeterService, "_check_current", lambda *_: None)
    repelled(lambda: both_have_it(forge), lambda: [unchecked])


KEYED = msgspec.structs.replace(
    SETTINGS,
    meters=tuple(
        msgspec.structs.replace(each, public_key=METER.public_key) if each.party == "eve" else each
        for each in SETTINGS.meters
    ),
)


class Moving(Street):
    """Eve's meter has a key, and is registered here."""

    def __init__(self) -> None:
        super().__init__(KEYED)
        register(self.book)

    def sells(self) -> bool:
        request = self.asks(self.tender())
        tenders = self._read(request)
        self.market.create(
            tenders,
            0,
            mandate_holds=True,
            free=self.book.balance,
            registered=self.book.registered,
        )
        return bool(list(self.market.orders.rows()))


def test_nothing_is_sold_of_a_meter_that_is_about_to_leave() -> None:
    """Between the question whether it may and the log's word that it has."""

    def attack() -> bool:
        street, there = Moving(), log(2)
        street.market.moves.begin(METER.public_key, 0, leaves=True)
        sold = street.sells()
        register(there, depart(street.book, there.log_id))
        street.market.moves.end(METER.public_key)
        return sold

    repelled(attack, lambda: [patch.object(Moves, "settled", lambda moves, known: known)])


def test_a_meter_does_not_leave_what_it_has_sold_behind() -> None:
    def attack() -> bool:
        street, there = Moving(), log(2)
        assert street.sells()
        with suppress(Refused):
            street.market.moves.begin(METER.public_key, 0, leaves=True)
            register(there, depart(street.book, there.log_id))
        return there.registered(METER.public_key) is not None

    repelled(attack, lambda: [patch.object(Positions, "busy", lambda *_: None)])


def test_a_meter_that_is_not_registered_sells_nothing_nor_for_a_time_before_it_was() -> None:
    def attack() -> bool:
        street, there = Moving(), log(2)
        register(there, depart(street.book, there.log_id))
        return street.sells()

    unasked = patch("trading.core.tenders._check_registered", lambda *_: None)
    repelled(attack, lambda: [unasked])
    street = Moving()
    depart(street.book)
    late = registration_of(
        standing(street.book), METER, street.book.log_id, None, street.interval.start_ns + 1
    )
    street.book.write("late", pb.Entry(registration=late))
    assert not street.sells()


def test_clocks_of_logs_do_not_matter_to_epochs() -> None:
    """A log whose clock is set back releases no meter before it came."""
    clock = Clock(9_000)
    here, there = log(1, clock), log(2)
    register(here)
    clock.at_unix_ns = 1
    departure = depart(here, there.log_id)
    register(there, departure)
    assert there.registered(METER.public_key) == 9_000
