"""The journal in the hands of the leader, for one term."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.core.circuits.records import AuditEntry, StateChange, StoredState
from controller.store.group_commit import GroupCommit
from controller.store.protocol import (
    AUDIT_ENTRIES_SEARCHED,
    AuditQuestion,
    RegisterPage,
    RegisterQuestion,
    StoreError,
)
from digitalgrid.model import NO_ELECTION_ID, ElectionId
from digitalgrid_journal.journal import Commit, Writer, commits, read


class JournalStore:
    """A `Store`: one thread writes, and all that came in during one commit shares the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = Writer(path)
        self._writer = GroupCommit(self._commit)
        self._term = NO_ELECTION_ID

    @property
    def election_id(self) -> ElectionId:
        return self._term

    def may_act(self) -> bool:
        return not self._file.closed

    def load(self) -> StoredState:
        """The next term, above all before, is on the disk before it is told."""
        contents = read(self._path)
        term = ElectionId(max(int(time.time()), contents.generation), contents.epoch + 1)
        self._file.add(Commit(term.high, term.low))
        self._term = term
        return StoredState(
            term.low,
            tuple(contents.circuits.values()),
            contents.counters,
            tuple(contents.routers.values()),
            tuple(contents.drains.values()),
        )

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        self._writer.start(on_durable, on_failure)

    def submit(self, ticket: int, change: StateChange) -> None:
        self._writer.submit(ticket, change)

    def audit(self, question: AuditQuestion) -> list[AuditEntry]:
        last: deque[AuditEntry] = deque(maxlen=AUDIT_ENTRIES_SEARCHED)
        for commit in commits(self._path):
            for change in commit.changes:
                last.extend(change.audit)
        return list(deque(filter(question.wants, last), maxlen=question.newest))

    def registers(self, question: RegisterQuestion) -> RegisterPage:
        known = sorted(read(self._path).registers.items())
        wanted = [each for key, each in known if key > question.after and question.wants(each)]
        page = tuple(wanted[: question.most])
        return RegisterPage(page, page[-1].key if len(wanted) > question.most else None)

    def close(self) -> None:
        self._writer.close()
        self._file.close()

    def _commit(self, changes: Sequence[StateChange]) -> None:
        self._file.add(Commit(self._term.high, self._term.low, tuple(changes)))
