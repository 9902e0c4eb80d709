"""Metrics as whoever scrapes them gets them."""

import asyncio
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from digitalgrid.metrics.reference import Kind, Metric

Labels = tuple[tuple[str, str], ...]
Figures = dict[tuple[str, Labels], float]


async def ask(port: int, said: bytes) -> tuple[str, str]:
    """The status line, and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return head.partition("\r\n")[0], body


async def scraped(port: int) -> Figures:
    status, body = await ask(
        port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert status == "HTTP/1.1 200 OK"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def labels_that_differ(
    figures: Figures, prefix: str, by_name: Mapping[str, Metric]
) -> list[tuple[str, Labels]]:
    """Series that are not as they are documented; one that is not at all is a KeyError."""
    return [
        (name, labels)
        for name, labels in figures
        if not name.startswith("process_")
        and set(dict(labels)) != _documented(name.removeprefix(prefix), by_name)
    ]


def _documented(name: str, by_name: Mapping[str, Metric]) -> set[str]:
    known = by_name.get(name)
    if known is None:
        # Of a histogram, or when a counter began.
        name, _, part = name.rpartition("_")
        known = by_name.get(name) or by_name[f"{name}_total"]
        if known.kind is Kind.HISTOGRAM and part == "bucket":
            return {*known.labels, "le"}
    return set(known.labels)
