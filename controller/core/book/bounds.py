"""What stood in the way of a request that was refused, as a word to be counted: ids of lines would be too many."""

from collections.abc import Iterator, Mapping
from enum import StrEnum


class Bound(StrEnum):
    """``SOURCES``: lines would carry more than sources have left."""

    FULL_LINES = "full lines"
    FULL_ROUTERS = "full routers"
    LINES_DOWN = "lines down"
    DRAINED_LINES = "drained lines"
    BRIDGES = "bridges"
    SOURCES = "sources"


_NAMED_BY = {
    "bottleneck_routers": Bound.FULL_ROUTERS,
    "links_down": Bound.LINES_DOWN,
    "links_drained": Bound.DRAINED_LINES,
    "bridges": Bound.BRIDGES,
}


def bounds_of(metadata: Mapping[str, str]) -> Iterator[Bound]:
    """By the metadata of a refusal; nothing where it is none for want of a way."""
    named = [bound for word, bound in _NAMED_BY.items() if metadata.get(word)]
    yield from named
    # Bottlenecks are also those that are none but for being out of service.
    closed = {metadata.get("links_down", ""), metadata.get("links_drained", "")}
    bottlenecks = set(metadata.get("bottleneck_links", "").split(","))
    if bottlenecks.difference(*(each.split(",") for each in closed), {""}):
        yield Bound.FULL_LINES
    elif not named and "bottleneck_links" in metadata:
        yield Bound.SOURCES
