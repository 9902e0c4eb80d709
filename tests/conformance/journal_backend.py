"""The worked example of a store as a plug-in: found by its entry point, as the daemon finds it."""

import shutil
from pathlib import Path

from controller.plugins import STORES
from controller.store.plugin import StorePlugin, StoreSetting
from controller.store.protocol import Membership, Store, StoreAccess
from digitalgrid.plugins.table import find


class JournalBackend:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lives = 0
        self._opened: list[Store] = []
        self._plugin: StorePlugin = find(STORES, "journal").load()

    @property
    def _path(self) -> Path:
        return self._directory / f"journal-{self._lives}"

    @property
    def _setting(self) -> StoreSetting:
        return StoreSetting(name="dgc", northbound="127.0.0.1:50051", at=str(self._path))

    def open(self) -> Store:
        store = self._plugin.open(self._setting)
        assert not isinstance(store, Membership)
        self._opened.append(store)
        return store

    def access(self) -> StoreAccess:
        return self._plugin.access(self._setting)

    def kill(self, store: Store) -> None:
        """What is on the disk now, a line that is half written too; its own file goes on apart from that."""
        before = self._path
        self._lives += 1
        shutil.copy(before, self._path)

    def break_writing(self, store: Store) -> None:
        """Behind the leader's back, which it notices before it writes; as if a line of its own had been torn."""
        with self._path.open("ab") as file:
            file.write(b"torn")

    def mend_writing(self) -> None:
        """The next term cuts off what is no line."""

    def discard(self) -> None:
        for store in self._opened:
            store.close()
