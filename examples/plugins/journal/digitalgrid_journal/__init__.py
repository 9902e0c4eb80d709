"""A store in one file of JSON lines, of which each is a commit: a checksum, and what was decided since the one before.

A line is there once it is whole, and was on the disk before anybody was told. What a crash has left of the last one is
cut off when the next term begins; anything else that cannot be read is damage, and is left as it is.
"""

from collections.abc import Iterator
from pathlib import Path

from controller.store.plugin import StoreSetting
from digitalgrid_journal.access import JournalAccess
from digitalgrid_journal.store import JournalStore


class JournalPlugin:
    """Chosen by ``store: {kind: journal, at: FILE}``."""

    interface_version = 1

    def open(self, setting: StoreSetting) -> JournalStore:
        return JournalStore(Path(setting.at))

    def access(self, setting: StoreSetting) -> JournalAccess:
        return JournalAccess(Path(setting.at))

    def problems(self, setting: StoreSetting) -> Iterator[tuple[str, str]]:
        if not setting.at:
            yield "at", "is empty; give the journal's file"
        elif Path(setting.at).is_dir():
            yield "at", f"{setting.at} is a directory; give the journal's file"

    def described(self, setting: StoreSetting) -> str:
        return f"journal {setting.at}"
