"""Rate limit of advertisements: who says much waits, and news that a line is down do not."""

import asyncio
from collections.abc import Iterable

from controller.southbound.lsa_limit import LsaLimit
from digitalgrid.v1.power_link_pb2 import LinkAdvertisement, LoadAdvertisement, RouterLsa


def _lsa(seq: int, *, up: bool = True, loads: int = 0) -> RouterLsa:
    return RouterLsa(
        seq=seq,
        links=[LinkAdvertisement(link_id="line", up=up)],
        loads=[LoadAdvertisement(load_id=f"x{number}") for number in range(loads)],
    )


def _applied(said: Iterable[RouterLsa]) -> list[int]:
    """What is applied at once, and not later."""

    async def take() -> list[int]:
        applied: list[int] = []
        limit = LsaLimit(20.0, lambda lsa: applied.append(lsa.seq), lambda _: None)
        for each in said:
            limit.take(each)
        limit.close()
        return applied

    return asyncio.run(take())


def test_news_that_a_line_is_down_do_not_wait_for_a_large_advertisement_before_them() -> None:
    assert _applied([_lsa(1, loads=1024), _lsa(2)]) == [1]
    assert _applied([_lsa(1, loads=1024), _lsa(2, up=False)]) == [1, 2]
    # Also past one that waits, which they replace.
    assert _applied([_lsa(1, loads=1024), _lsa(2), _lsa(3, up=False)]) == [1, 3]


def test_who_makes_up_news_of_lines_that_are_down_waits_like_others() -> None:
    flood = [_lsa(seq, up=bool(seq % 2), loads=1024) for seq in range(1, 200)]
    assert len(_applied(flood)) <= 1 + 4 + 1
