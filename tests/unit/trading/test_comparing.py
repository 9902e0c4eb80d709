"""Two logs beside each other: what neither exchange can see alone, whoever compares their logs finds and names."""

from pathlib import Path

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import KEY, Clock, deposit, ledger
from tests.support.meters import METER, OTHER_METER, depart, log, register
from trading.client.checking import BadLog, compare_logs
from trading.ledger.comparing import Doubled, Fault, doubled
from trading.ledger.ledger import Ledger
from trading.ledger.log_file import write_copy
from trading.ledger.storage import Appended, MemoryStorage
from trading.ledger.verifying import Verifier, verify


def read(book: Ledger) -> Verifier:
    return verify(book.entries(0, book.size), book.head())


def found(first: Ledger, second: Ledger) -> list[Doubled]:
    one, other = read(first), read(second)
    faults = doubled(one, other)
    # Whichever comes first.
    assert [each.fault for each in doubled(other, one)] == [each.fault for each in faults]
    return faults


def faults(first: Ledger, second: Ledger) -> list[Fault]:
    return [each.fault for each in found(first, second)]


def test_a_meter_that_moved_as_it_should_is_in_one_log_at_a_time() -> None:
    clock = Clock()
    here, there = log(1, clock), log(2, clock)
    register(here)
    register(here, key=OTHER_METER)
    for left, following in ((here, there), (there, here)):
        clock.at_unix_ns += 1_000
        register(following, depart(left, following.log_id))
    assert found(here, there) == []


def test_a_meter_that_was_registered_first_in_each_is_named() -> None:
    here, there = log(1), log(2)
    register(here, key=OTHER_METER)
    register(here)
    register(there)
    (doubled_,) = found(here, there)
    assert (doubled_.public_key, doubled_.fault) == (METER.public_key, Fault.SAME_EPOCH)
    assert doubled_.first is not None and doubled_.second is not None
    assert (doubled_.first.seq, doubled_.second.seq) == (2, 1)
    # Also once it has left one of them.
    depart(here)
    assert faults(here, there) == [Fault.SAME_EPOCH]


def test_a_meter_that_came_from_a_third_log_while_the_first_has_it_is_named() -> None:
    here, there, third = log(1), log(2), log(3)
    register(here)
    register(third)
    register(there, depart(third, there.log_id))
    assert faults(here, there) == [Fault.SAME_TIME]


def test_a_release_that_its_log_shows_to_one_and_not_to_others_convicts_it() -> None:
    """A log of two histories: with the release in it for the next market, and without it for all others."""
    storage, twin = MemoryStorage(), MemoryStorage()
    shown = ledger(storage)
    register(shown)
    twin.append(0, [_appended(shown, seq) for seq in range(shown.size)], shown.head())
    kept = Ledger(twin, KEY, Clock(), "")
    there = log(2)
    register(there, depart(shown, there.log_id))
    assert faults(shown, there) == []
    # What was copied before it was released is no lie.
    assert Fault.TOO_OLD in faults(kept, there)
    kept.write("deposit", deposit("ann", 5))
    assert set(faults(kept, there)) == {Fault.NOT_THERE, Fault.SAME_TIME}


def _appended(book: Ledger, seq: int) -> Appended:
    (signed,) = book.entries(seq, 1)
    return Appended(pb.Entry.FromString(signed.entry).key, signed)


def test_files_are_compared_and_what_is_wrong_with_one_is_said_before(tmp_path: Path) -> None:
    here, there = log(1), log(2)
    register(here)
    register(there)
    for name, book in (("here", here), ("there", there)):
        with (tmp_path / name).open("wb") as file:
            write_copy(file, book.entries(0, book.size), book.head())
    compared = compare_logs(tmp_path / "here", tmp_path / "there")
    (one,) = compared.found
    assert compared.both == 1 and compared.log_ids == (here.log_id.hex(), there.log_id.hex())
    assert (one.meter, one.epochs, one.entries) == (METER.public_key.hex(), (1, 1), (1, 1))
    content = (tmp_path / "here").read_bytes()
    (tmp_path / "here").write_bytes(content[:-1])
    with pytest.raises(BadLog, match="the file ends within the head"):
        compare_logs(tmp_path / "here", tmp_path / "there")


def test_two_copies_of_one_log_are_to_be_of_one_history() -> None:
    storage = MemoryStorage()
    here = ledger(storage)
    here.write("a", deposit("ann", 5))
    before = read(here)
    here.write("b", deposit("ann", 5))
    assert doubled(before, read(here)) == []
    other = Verifier()
    other.log_id = here.log_id
    for each in ledger().entries(0, 1):
        other.tree.append(each.entry)
    with pytest.raises(BadLog, match="two histories"):
        doubled(other, read(here))
