"""The reference of the client library names all that there is."""

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import digitalgrid.client
import digitalgrid.frames
from digitalgrid.client import AsyncPowerClient, PowerClient
from digitalgrid.v1 import northbound_pb2 as pb

REFERENCE = (Path(__file__).parents[3] / "docs" / "client.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", REFERENCE)) + REFERENCE))


def calls(client: type) -> set[str]:
    return {name for name in dir(client) if not name.startswith("_")}


def test_every_call_stands_in_the_reference_and_both_clients_have_it() -> None:
    assert calls(PowerClient) == calls(AsyncPowerClient)
    assert calls(PowerClient) - NAMED == set()


def test_calls_are_shown_with_what_they_take_and_give() -> None:
    for client, several in ((PowerClient, Iterator), (AsyncPowerClient, AsyncIterator)):
        shown = {name: inspect.signature(getattr(client, name)) for name in calls(client)}
        assert shown["get_circuit"].return_annotation is pb.Circuit
        assert shown["watch_topology"].return_annotation == several[pb.Topology]
        assert list(shown["change_circuit"].parameters) == ["self", "circuit_id", "power_w"]


def test_everything_that_is_exported_stands_in_the_reference() -> None:
    not_for_people = {"DEFAULT_SERVER", "FieldViolation", "NotDrained"}
    assert set(digitalgrid.client.__all__) - NAMED - not_for_people == set()
    frames = {name for name in vars(digitalgrid.frames) if re.search("_frames?$", name)}
    assert {name for name in frames if not name.startswith("_")} - NAMED == set()
