"""Checkpoints of a study on disk: a second run with the same settings goes on where the first one ended."""

import csv
import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from topologies.importers.errors import NetworkError
from topologies.study.evaluation import StepResult
from topologies.study.missing import from_text

_COLUMNS = [spec.name for spec in fields(StepResult)]
_TYPES = {spec.name: spec.type for spec in fields(StepResult)}


class StudyError(NetworkError):
    """A study that cannot be begun or continued as asked."""


class Records:
    """The directory of one study: ``study.json`` says what is studied, ``steps.csv`` grows by each piece of work.

    ``settings`` must be what JSON gives back. Raises StudyError where the directory holds a study with others, is in
    use, or cannot be written.
    """

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self._steps_path = directory / "steps.csv"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = (directory / "study.json").open("a+", encoding="utf-8")
        except OSError as error:
            raise StudyError(f"{directory} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _compare(directory, self._lock, settings)
            self.done = _read(self._steps_path)
            self._file = self._steps_path.open("a", encoding="utf-8", newline="")
        except BlockingIOError as error:
            self._lock.close()
            raise StudyError(f"another study is running in {directory}; choose another") from error
        except BaseException:
            self._lock.close()
            raise
        self._writer = csv.DictWriter(self._file, _COLUMNS, lineterminator="\n")
        if self._file.tell() == 0:
            self._writer.writeheader()

    def append(self, results: Iterable[StepResult]) -> None:
        """Keeps results, durably."""
        for result in results:
            self._writer.writerow(asdict(result))
            self.done[result.step] = result
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.close()


def _compare(directory: Path, file: TextIO, settings: dict[str, Any]) -> None:
    file.seek(0)
    text = file.read()
    if not text:
        file.write(json.dumps(settings, indent=2) + "\n")
        file.flush()
        return
    try:
        before = json.loads(text)
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise StudyError(f"{directory / 'study.json'} is damaged; choose another directory")
    changed = [
        f"{key} was {before.get(key)!r} and is {settings.get(key)!r}"
        for key in sorted({*before, *settings})
        if before.get(key) != settings.get(key)
    ]
    if changed:
        raise StudyError(
            f"{directory} holds another study: {'; '.join(changed)}. "
            "Ask for the same to go on with it, or choose another directory"
        )


def _read(path: Path) -> dict[int, StepResult]:
    """All whole rows; a row that a crash cut off is cut away, so that the next one starts on a line of its own."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    head, *rows = whole.splitlines() or [b""]
    if whole and head != ",".join(_COLUMNS).encode():
        raise StudyError(
            f"{path} has other columns than this version writes; choose another directory"
        )
    done = {}
    for line, row in enumerate(rows, start=2):
        try:
            result = _result(row.decode("utf-8"))
        except ValueError as error:
            raise StudyError(f"{path}:{line} is damaged; choose another directory") from error
        done[result.step] = result
    return done


def _result(row: str) -> StepResult:
    """No field has a comma, and what a large network lacks at a step is longer than :mod:`csv` reads."""
    values: dict[str, Any] = {}
    for (name, kind), text in zip(_TYPES.items(), row.split(","), strict=True):
        values[name] = kind(text) if isinstance(kind, type) else text
    result = StepResult(**values)
    for text in (result.operated_missing, result.routers_missing):
        from_text(text)
    return result
