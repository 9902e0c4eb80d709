"""The slow look at meters: monotone energies, power between two looks, and as often as the loop can afford."""

import asyncio

from controller.core.network.view import GridView
from controller.watching.meter_look import MeterBooks, MeterLook, Reading
from digitalgrid.v1.power_link_pb2 import LinkMeter, LoadMeter, RouterMeters, SourceMeter
from tests.support.northbound import in_loop, northbound

_NOBODY = GridView(version=0)


def meters(at_s: int, injected_mj: int, delivered_mj: int, boot_id: int = 1) -> RouterMeters:
    return RouterMeters(
        router_id="r1",
        boot_id=boot_id,
        time_ns=at_s * 1_000_000_000,
        sources=[SourceMeter(source_id="s", injected_mj=injected_mj)],
        loads=[LoadMeter(load_id="l", delivered_mj=delivered_mj)],
        converter_loss_mj=injected_mj - delivered_mj,
    )


def look(
    books: MeterBooks, said: list[RouterMeters], missing_ids: list[str], view: GridView
) -> Reading:
    for each in said:
        books.note(each)
    return books.conclude(missing_ids, view)


def test_energies_never_run_backwards_though_a_router_loses_its_books() -> None:
    books = MeterBooks()
    assert look(books, [meters(1, 1000, 900)], [], _NOBODY).totals.injected_mj == 1000
    assert look(books, [meters(1, 50, 40, boot_id=2)], [], _NOBODY).totals.injected_mj == 1050
    # It is away, and what it measured stays.
    reading = look(books, [], ["r1"], _NOBODY)
    assert (reading.totals.injected_mj, reading.totals.delivered_mj) == (1050, 940)
    assert reading.missing_ids == ("r1",)
    assert look(books, [meters(2, 60, 50, boot_id=2)], [], _NOBODY).totals.injected_mj == 1060


def test_power_is_what_was_counted_between_two_looks_by_the_routers_own_clock() -> None:
    books = MeterBooks()
    assert sum(look(books, [meters(10, 1000, 900)], [], _NOBODY).powers_w) == 0.0
    reading = look(books, [meters(12, 9000, 8100)], [], _NOBODY)
    injected_w, delivered_w, _, converter_loss_w, *_ = reading.powers_w
    assert (injected_w, delivered_w, converter_loss_w) == (4.0, 3.6, 0.4)
    assert reading.imbalance_mj == 0


def test_books_that_do_not_balance_are_told() -> None:
    wrong = meters(1, 1000, 900)
    wrong.converter_loss_mj = 99
    assert look(MeterBooks(), [wrong], [], _NOBODY).imbalance_mj == 1
    wrong.saturated = True
    assert look(MeterBooks(), [wrong], [], _NOBODY).imbalance_mj == 0


@in_loop
async def test_what_a_link_carries_is_measured_at_the_end_that_sends() -> None:
    async with northbound() as api:
        link = api.runtime.view.links["r1-r2"]
        books = MeterBooks()
        for at_s, sent_mj in ((1, 0), (2, 2 * int(link.voltage_v) * 1000)):
            end = RouterMeters(router_id=link.b, boot_id=1, time_ns=at_s * 1_000_000_000)
            end.links.append(LinkMeter(link_id="r1-r2", sent_mj=sent_mj))
            reading = look(books, [end], [], api.runtime.view)
        assert reading.flows == {"r1-r2": (0.0, 2.0)}


@in_loop
async def test_one_look_serves_all_who_want_it_and_none_is_made_for_nobody() -> None:
    looks = 0

    async def read() -> tuple[list[RouterMeters], list[str]]:
        nonlocal looks
        looks += 1
        return [], []

    look = MeterLook(read, lambda: _NOBODY)
    await asyncio.sleep(0)
    assert looks == 0
    with look.wanted(1000.0), look.wanted(2000.0):
        await look.news()
        assert looks == 1
        with look.wanted(0.001):
            await look.news()
        before = looks
    await asyncio.sleep(0.01)
    assert looks == before
