"""Two real exchanges that sell one source; `python -m tests.chaos market-race`: a thousand of each, from processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.market_race import raced
from tests.support.races import Ended, Race, run


def test_what_two_exchanges_sell_at_once_is_no_more_than_there_is(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:

        def as_threads(races: Sequence[Race]) -> list[Callable[[], Ended]]:
            return [pool.submit(run, each).result for each in races]

        found = raced(tmp_path, 40, as_threads)
    assert found.wrong == []
    assert found.figures["tenders"] == 160
