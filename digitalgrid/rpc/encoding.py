"""Answers that are bytes already: a large one is serialised in parts, which protobuf lets be joined."""

from collections.abc import Callable
from typing import Any


def encoded(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A serializer that passes bytes through."""

    def encode(answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return encode


def field(number: int, payload: bytes) -> bytes:
    """A field of a message that is a message or string itself, as protobuf writes it."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
