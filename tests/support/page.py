"""The operator's page on loopback over a real core, and a plain reader of its stream."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from controller.watching.meter_look import MeterLook
from controller.web.about import About
from controller.web.server import serving_page
from tests.support.northbound import Northbound, northbound, read_meters
from tests.support.patience import PATIENCE_S


@dataclass
class Event:
    name: str
    data: Any
    id: str = ""


async def read_events(lines: aiohttp.StreamReader) -> AsyncIterator[Event]:
    """As a browser reads them."""
    name, data, id_ = "", "", ""
    while line := (await lines.readline()).decode():
        key, _, value = line.rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            data = value
        elif key == "id":
            id_ = value
        elif not key and name:
            yield Event(name, json.loads(data), id_)
            name, data, id_ = "", "", ""


def events_of(said: bytes) -> Iterator[Event]:
    """Of some bytes in which events end."""
    for one in said.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in one.splitlines())
        if "event" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))


@dataclass
class Mirror:
    """What a page knows: rows by table and id, and all that was told beside."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    tables: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)
    daemon: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False
    ready: bool = False
    now: dict[str, Any] = field(default_factory=dict)
    marks: list[dict[str, Any]] = field(default_factory=list)
    last_id: str = ""

    def take(self, event: Event) -> None:
        self.last_id = event.id or self.last_id
        match event.name:
            case "hello":
                self.columns, self.daemon = event.data["columns"], event.data["daemon"]
                self.resumed, self.ready = event.data["resumed"], False
                if not self.resumed:
                    self.tables = {table: {} for table in self.columns}
            case "rows":
                for table, names in self.columns.items():
                    for row in event.data.get(table, []):
                        self.tables[table][row[0]] = dict(zip(names, row, strict=True))
                for table, ids in event.data.get("gone", {}).items():
                    for each in ids:
                        self.tables[table].pop(each, None)
            case "ready":
                self.ready = True
            case "now":
                self.now = event.data
            case "marks":
                self.marks += event.data["marks"]


@dataclass
class Page:
    api: Northbound
    address: str
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def stream(self, last_id: str = "") -> AsyncIterator[AsyncIterator[Event]]:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with self.http.get(f"{self.address}api/v1/stream", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            yield read_events(answer.content)

    async def call(self, method: str, **message: Any) -> tuple[int, Any]:
        async with self.http.post(f"{self.address}api/v1/call/{method}", json=message) as answer:
            return answer.status, await answer.json()


async def mirrored(events: AsyncIterator[Event], mirror: Mirror | None = None) -> Mirror:
    """What is known once everything was told."""
    mirror = mirror or Mirror()
    async for event in events:
        mirror.take(event)
        if mirror.ready:
            return mirror
    raise AssertionError("the stream ended")


@asynccontextmanager
async def page_over(
    api: Northbound,
    listen: str = "127.0.0.1:0",
    emulation: Path | None = None,
    names: tuple[str, ...] = (),
    token_file: Path | None = None,
    market: str = "",
) -> AsyncIterator[Page]:
    about = About(
        api.runtime, "1.2.3", store="memory", name="dgc", emulation=emulation, market=market
    )
    meters = MeterLook(read_meters, lambda: api.runtime.view)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        serving_page(
            api.services, api.gate, meters, about, listen, names=names, token_file=token_file
        ) as address,
        aiohttp.ClientSession(timeout=timeout, read_bufsize=1 << 22) as http,
    ):
        yield Page(api, address, http)


@asynccontextmanager
async def page(*, connected: bool = True) -> AsyncIterator[Page]:
    async with northbound(connected=connected) as api, page_over(api) as served:
        yield served
