"""The journal, the worked example of a store: what a crash or a bad disk may have left of its file."""

from pathlib import Path

import pytest

from controller.core.circuits.records import Counters, StateChange
from controller.plugins import STORES
from controller.store.plugin import StorePlugin, StoreSetting
from controller.store.protocol import Membership, Store, StoreError
from digitalgrid.plugins.table import find
from tests.support.durability import Durability
from tests.support.plugins import install_example
from tests.support.records import circuit_record

Opened = tuple[StorePlugin, StoreSetting]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    monkeypatch.syspath_prepend(tmp_path)
    install_example(tmp_path, "journal")
    plugin: StorePlugin = find(STORES, "journal").load()
    return plugin, StoreSetting("dgc", "127.0.0.1:50051", at=str(tmp_path / "kept" / "journal"))


def opened(journal: Opened) -> Store:
    plugin, setting = journal
    store = plugin.open(setting)
    assert not isinstance(store, Membership)
    return store


def written(journal: Opened, count: int) -> bytes:
    store = opened(journal)
    store.load()
    durability = Durability(store)
    for number in range(1, count + 1):
        store.submit(number, StateChange((circuit_record(number),), Counters(9, 9, 9)))
        durability.wait(number)
    store.close()
    return Path(journal[1].at).read_bytes()


def test_whatever_is_left_of_the_last_line_the_lines_before_it_are_all_there(
    journal: Opened,
) -> None:
    whole = written(journal, 3)
    path, last = Path(journal[1].at), whole.rfind(b"\n", 0, -1) + 1
    for end in range(last, len(whole), 7):
        # Cut off; or its beginning was never written, and its end was.
        for left in (whole[:end], whole[:last] + bytes(end - last) + whole[end:]):
            path.write_bytes(left)
            store = opened(journal)
            known = {each.circuit_id for each in store.load().circuits}
            store.close()
            assert known == ({1, 2, 3} if left == whole else {1, 2})


def test_a_line_before_the_last_that_is_damaged_is_named_and_nothing_is_changed(
    journal: Opened,
) -> None:
    whole = bytearray(written(journal, 3))
    plugin, setting = journal
    whole[whole.index(b"\n") + 20] ^= 1
    Path(setting.at).write_bytes(whole)
    with pytest.raises(StoreError, match="journal:2: is not as it was written"):
        opened(journal).load()
    assert plugin.access(setting).verify() == [
        f"{setting.at}:2: is not as it was written; restore a backup"
    ]
    assert Path(setting.at).read_bytes() == whole


def test_one_daemon_alone_is_given_it(journal: Opened) -> None:
    first = opened(journal)
    with pytest.raises(StoreError, match="another daemon uses this journal"):
        opened(journal)
    first.close()
    opened(journal).close()


def test_a_place_is_needed(journal: Opened) -> None:
    plugin, _ = journal
    ((key, what),) = plugin.problems(StoreSetting("dgc", "127.0.0.1:50051"))
    assert (key, what) == ("at", "is empty; give the journal's file")
