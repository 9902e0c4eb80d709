import random

import pytest

from controller.store.etcd.layout import Delete, Op, Put, size_bytes
from controller.store.etcd.parts import Limits, chunks, pack, unpack
from controller.store.protocol import StoreError

SMALL = Limits(ops=7, size_bytes=400)


def some_ops(count: int) -> list[Op]:
    rng = random.Random(5)
    puts: list[Op] = [Put(b"/p/circuits/%016x" % i, rng.randbytes(50)) for i in range(count)]
    return [*puts, Delete(b"/p/audit/0", b"/p/audit/5"), Delete(b"/p/circuits/ff")]


def test_what_is_cut_in_pieces_comes_back_whole_and_in_order() -> None:
    pieces = pack(some_ops(100), SMALL)

    assert len(pieces) > 5
    assert all(len(piece) <= SMALL.size_bytes for piece in pieces)
    assert unpack(b"t", pieces) == some_ops(100)


@pytest.mark.parametrize("damage", ["missing", "cut", "swapped"])
def test_damaged_pieces_are_told_and_not_guessed(damage: str) -> None:
    pieces = pack(some_ops(100), SMALL)
    match damage:
        case "missing":
            del pieces[2]
        case "cut":
            pieces[-1] = pieces[-1][:-9]
        case "swapped":
            pieces[1], pieces[2] = pieces[2], pieces[1]

    with pytest.raises(StoreError, match="pieces of transaction t are damaged"):
        unpack(b"t", pieces)


def test_chunks_stay_below_both_limits_and_lose_nothing() -> None:
    by_count = list(chunks(some_ops(100), Limits(ops=7, size_bytes=10**6)))
    by_size = list(chunks(some_ops(100), Limits(ops=10**6, size_bytes=400)))

    assert [op for chunk in by_count for op in chunk] == some_ops(100)
    assert [op for chunk in by_size for op in chunk] == some_ops(100)
    assert max(map(len, by_count)) == 7
    assert all(sum(map(size_bytes, chunk)) <= 400 for chunk in by_size)


def test_what_is_larger_than_the_limit_by_itself_stands_alone() -> None:
    large, small = Put(b"large", b"x" * 500), Put(b"small", b"")

    assert list(chunks([small, large, small], SMALL)) == [[small], [large], [small]]
