"""``dgctl market`` as a party runs it, against a market that answers every call about one trade."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dgctl import main
from tests.support.fake_market import FakeMarket
from trading.ledger.key_files import write_new_key

Run = Callable[..., Result]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    write_new_key(tmp_path / "ann.key")
    return tmp_path / "ann.key"


@pytest.fixture
def dgctl(market: FakeMarket, key_file: Path) -> Run:
    def run(*words: str, **env: str) -> Result:
        known = {"DGM_SERVER": market.server, "DGM_PARTY": "ann", "DGM_KEY": str(key_file)}
        runner = CliRunner(env=known | env)
        return runner.invoke(main, ("market", *words))

    return run


def squeezed(result: Result) -> str:
    return " ".join(result.stdout.split())


def asked(market: FakeMarket, kind: type) -> Any:
    (found,) = [each for each in market.requests if isinstance(each, kind)]
    return found
