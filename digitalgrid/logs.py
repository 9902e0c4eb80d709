"""Logs of our programs: to standard error, as lines for people or as JSON for what collects them."""

import logging
import sys
from collections.abc import Mapping
from enum import StrEnum

from digitalgrid.printable import printable_lines

FULL_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogFormat(StrEnum):
    """``JSON`` is an object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, ``exception`` of a failure. By
    ``AUTO`` a terminal has text, and whatever else takes the lines has JSON.
    """

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class _PrintableFormatter(logging.Formatter):
    """Escapes what others have named, so that no line can be forged."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable_lines(record.message)
        return super().formatMessage(record)


def log_to_standard_error(
    level: int | str = logging.INFO,
    style: str = FULL_FORMAT,
    log_format: LogFormat = LogFormat.TEXT,
    always: Mapping[str, str] | None = None,
) -> None:
    """For programs, once: everything of this level or above. Of text, later lines of one are indented; of JSON each
    object has the fields of ``always``, which say whose it is.
    """
    handler = logging.StreamHandler(sys.stderr)
    watched = sys.stderr.isatty()
    json_lines = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not watched)
    handler.setFormatter(
        _json_formatter(always or {}) if json_lines else _PrintableFormatter(style)
    )
    logging.basicConfig(level=level, handlers=[handler])


def _json_formatter(always: Mapping[str, str]) -> logging.Formatter:
    # Here, since few need it.
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        timestamp="time",
        static_fields=dict(always),
    )
