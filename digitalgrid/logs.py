"""Logs of our programs: to standard error, with what others have named escaped, so that no line can be forged."""

import logging
import sys

from digitalgrid.printable import printable_lines

FULL_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _PrintableFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable_lines(record.message)
        return super().formatMessage(record)


def log_to_standard_error(level: int | str = logging.INFO, style: str = FULL_FORMAT) -> None:
    """For programs, once: everything of this level or above, a line each; later lines of one are indented."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter(style))
    logging.basicConfig(level=level, handlers=[handler])
