"""Decoding of requests: bytes that are no message, answered by gRPC with UNKNOWN and a traceback, are refused."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError


class MalformedMessage(ValueError):
    """What arrived is no message of the API."""


def decoded(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A deserializer that hands the error on in place of the message, for :func:`check_decoded`."""

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return error

    return decode


def check_decoded(message: object) -> None:
    """Raises MalformedMessage for what stands in for a message that could not be read."""
    if isinstance(message, DecodeError):
        raise MalformedMessage(f"the bytes received are no message of the API: {message}")
