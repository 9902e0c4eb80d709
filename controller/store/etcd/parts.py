"""Transactions that are too large for one of etcd's: compressed, in pieces. Pure."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from controller.store.etcd.layout import Delete, Op, Put, size_bytes
from controller.store.protocol import StoreError

# zlib's level: records repeat their ids, and the first level finds nearly all of that.
_COMPRESSION = 1
# Whether it is a Put, its key, and its value or the end of its range.
_PACKED = list[tuple[bool, bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one transaction, below etcd's own (--max-txn-ops 128, --max-request-bytes 1.5 MiB) by what is put beside."""

    ops: int = 96
    size_bytes: int = 1_000_000


DEFAULT_LIMITS = Limits()


def pack(ops: Sequence[Op], limits: Limits) -> list[bytes]:
    """The pieces, each small enough for a transaction of its own."""
    packed: _PACKED = [
        (isinstance(op, Put), op.key, op.value if isinstance(op, Put) else op.end) for op in ops
    ]
    whole = zlib.compress(msgspec.msgpack.encode(packed), _COMPRESSION)
    return [
        whole[start : start + limits.size_bytes]
        for start in range(0, len(whole), limits.size_bytes)
    ]


def unpack(transaction: bytes, pieces: Sequence[bytes]) -> list[Op]:
    try:
        packed = msgspec.msgpack.decode(zlib.decompress(b"".join(pieces)), type=_PACKED)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise StoreError(
            f"etcd: the pieces of transaction {transaction.decode(errors='replace')} are damaged"
            f" ({error}); nothing was changed: restore a backup"
        ) from error
    return [Put(key, rest) if is_put else Delete(key, rest) for is_put, key, rest in packed]


def chunks(ops: Iterable[Op], limits: Limits) -> Iterator[list[Op]]:
    """The same operations in order, as few transactions as they fit into."""
    chunk: list[Op] = []
    chunk_bytes = 0
    for op in ops:
        op_bytes = size_bytes(op)
        if chunk and (len(chunk) == limits.ops or chunk_bytes + op_bytes > limits.size_bytes):
            yield chunk
            chunk, chunk_bytes = [], 0
        chunk.append(op)
        chunk_bytes += op_bytes
    if chunk:
        yield chunk
