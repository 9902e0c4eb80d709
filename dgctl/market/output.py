"""How answers of a market are written: tables for people, protobuf's JSON mapping (or YAML) for programs."""

import sys

from google.protobuf.message import Message

from dgctl.formats import Format
from dgctl.market import tables
from dgctl.output import as_dict, write_document
from digitalgrid.columns import parts_text


def show(message: Message, output: Format) -> None:
    """Writes one whole answer to standard output."""
    if output is Format.TABLE:
        sys.stdout.write(parts_text(tables.render(message), sys.stdout))
    else:
        write_document(as_dict(message), output)
