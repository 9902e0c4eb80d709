"""Two real exchanges that sell one source; `python -m tests.chaos market-race`: a thousand of each, from processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2
from tests.chaos.market_race import Found, _check_together, raced
from tests.support.races import Ended, Race, run


def test_what_two_exchanges_sell_at_once_is_no_more_than_there_is(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:

        def as_threads(races: Sequence[Race]) -> list[Callable[[], Ended]]:
            return [pool.submit(run, each).result for each in races]

        found = raced(tmp_path, 40, as_threads)
    assert found.wrong == []
    assert found.figures["tenders"] == 160


CONFIRMED, REJECTED = pb.TRANSACTION_STATE_CONFIRMED, pb.TRANSACTION_STATE_REJECTED
HELD, ACTIVE = northbound_pb2.CIRCUIT_STATE_RESERVED, northbound_pb2.CIRCUIT_STATE_ACTIVE


def judged(circuits: dict[int, int], trades: dict[int, int], wh: int = 1_000) -> list[str]:
    """What the race finds wrong where these circuits are in these states at the controller, and trades with them."""
    found = Found()
    figures = ("confirmed", "refused_for_position", "refused_for_funds", "refused_by_capacity")
    found.figures.update(dict.fromkeys(figures, 1))
    listed = northbound_pb2.ListCircuitsResponse(
        circuits=[
            northbound_pb2.Circuit(circuit_id=number, state=state)  # type: ignore[arg-type]
            for number, state in circuits.items()
        ]
    )
    told = [
        pb.Transaction(
            circuit_id=number,
            state=state,  # type: ignore[arg-type]
            wh=wh,
            held_injected_ppm=1_050_000,
            interval=pb.Interval(length_ns=600 * NS_PER_S),
        )
        for number, state in trades.items()
    ]
    power: Any = SimpleNamespace(list_circuits=lambda: listed)
    clients: Any = [
        SimpleNamespace(list_transactions=lambda: told[:1]),
        SimpleNamespace(list_transactions=lambda: told[1:]),
    ]
    _check_together(found, power, clients)
    return found.wrong


def test_the_race_finds_money_without_a_circuit_and_a_circuit_without_money() -> None:
    assert judged({7: HELD, 9: HELD}, {7: CONFIRMED, 9: CONFIRMED, 8: REJECTED}) == []
    assert judged({7: HELD}, {7: CONFIRMED, 9: CONFIRMED}) == [
        "money is locked for circuits that are not held: {9}"
    ]
    # One that carries before its interval is not held.
    assert judged({7: ACTIVE}, {7: CONFIRMED}) == [
        "money is locked for circuits that are not held: {7}"
    ]
    assert judged({7: HELD, 9: HELD}, {7: CONFIRMED, 9: REJECTED}) == [
        "circuits are held for no trade: {9}"
    ]


def test_the_race_finds_a_source_that_both_together_have_promised_twice() -> None:
    # A source of 1 MW has 166,666 Wh in ten minutes; with losses these are 84,000 each.
    (wrong,) = judged({7: HELD, 9: HELD}, {7: CONFIRMED, 9: CONFIRMED}, wh=80_000)
    assert wrong == "168000 Wh of 166666 are promised by both together"


def test_a_race_in_which_nobody_was_refused_is_none() -> None:
    found = Found()
    power: Any = SimpleNamespace(list_circuits=northbound_pb2.ListCircuitsResponse)
    _check_together(found, power, [])
    assert len(found.wrong) == 4 and all("there was no race" in each for each in found.wrong)
