"""The journal as `dgc store` sees it, beside a daemon that may be using it."""

import time
from contextlib import closing
from itertools import chain
from pathlib import Path

from controller.core.circuits.records import StateChange
from controller.store.consistency import Consistency
from controller.store.protocol import StoreContents, StoreError
from controller.store.restored import epoch_beyond_lost
from digitalgrid_journal.journal import Commit, Writer, read

_SCHEMA_VERSION = 1


class JournalAccess:
    """A `StoreAccess`; each call reads the file anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> StoreContents:
        found = read(self._path)
        return StoreContents(
            _SCHEMA_VERSION,
            found.generation,
            found.epoch,
            found.counters,
            iter(sorted(found.circuits.values(), key=lambda each: each.circuit_id)),
            iter(found.audit),
            iter(sorted(found.routers.values(), key=lambda each: each.router_id)),
            iter(sorted(found.drains.values(), key=lambda each: each.id)),
            iter([each for _, each in sorted(found.registers.items())]),
        )

    def fill(self, contents: StoreContents) -> None:
        with closing(Writer(self._path)) as writer:
            present = read(self._path)
            if not present.is_empty:
                raise StoreError(
                    f"{self._path}: is not empty, nothing was changed; name a file that is not"
                    " there yet"
                )
            # In the order in which contents can be read.
            drains, routers = tuple(contents.drains), tuple(contents.routers)
            circuits, registers = tuple(contents.circuits), tuple(contents.registers)
            audit = tuple(contents.audit)
            writer.add(
                Commit(
                    max(contents.generation, present.generation, int(time.time())) + 1,
                    epoch_beyond_lost(max(contents.epoch, present.epoch)),
                    (
                        StateChange(
                            circuits,
                            contents.counters,
                            audit=audit,
                            routers=routers,
                            drains=drains,
                            registers=registers,
                        ),
                    ),
                )
            )

    def verify(self) -> list[str]:
        try:
            found = read(self._path)
        except StoreError as error:
            return [str(error)]
        looked = Consistency(found.counters)
        return list(
            chain(
                *map(looked.circuit, found.circuits.values()),
                *map(looked.router, found.routers.values()),
                *map(looked.register, found.registers.values()),
                *map(looked.audit_entry, found.audit),
            )
        )
