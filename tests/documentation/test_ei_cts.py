"""Terms of OASIS EI-CTS: each field of what is tendered, agreed and delivered has its place in the table."""

import re

import pytest
from google.protobuf.message import Message

from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.documents import ROOT

_TABLE = re.compile(r"^## Terms of OASIS EI-CTS\n.*?(?=^## )", re.M | re.S)


@pytest.mark.parametrize("message", [pb.Tender, pb.Transaction, pb.Position, pb.Delivery])
def test_each_field_has_a_place_in_the_table(message: type[Message]) -> None:
    table = _TABLE.search((ROOT / "docs" / "trading.md").read_text())
    assert table is not None
    named = set(re.findall(r"`(\w+)`", table[0]))
    fields = {field.name for field in message.DESCRIPTOR.fields}
    assert fields - named == set()


def test_the_table_names_no_field_and_no_call_that_is_not_there() -> None:
    table = _TABLE.search((ROOT / "docs" / "trading.md").read_text())
    assert table is not None
    messages = (pb.Tender, pb.Transaction, pb.Position, pb.Delivery)
    fields = {field.name for each in messages for field in each.DESCRIPTOR.fields}
    calls = {
        method.name
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    named = set(re.findall(r"`(\w+)`", table[0]))
    assert named - fields - calls == {"Transaction"}
