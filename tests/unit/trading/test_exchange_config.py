"""The configuration of an exchange: what is wrong with it is said with its line, all of it at once."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from digitalgrid.config_file import ConfigError
from digitalgrid.units import NS_PER_S
from tests.support.exchanges import ANN, BOB, market_file, public
from trading.core.units import MicroPerKwh
from trading.exchange.config import ExchangeConfig, load_config
from trading.mechanisms.book import SelfTrade
from trading.mechanisms.choices import Choices


def loaded(tmp_path: Path, **changes: Any) -> ExchangeConfig:
    path = tmp_path / "market.yaml"
    path.write_text(market_file(**changes))
    return load_config(path)


def meter(**changes: Any) -> dict[str, Any]:
    return {"meter": "m", "router": "r1", "source": "pv1", "max_injected_w": 1e3, **changes}


def party(name: str = "eve", key: str = public(ANN), **changes: Any) -> dict[str, Any]:
    return {"party": name, "public_key": key, "meters": [meter(**changes)]}


KNOWN = {"name": "street", "log_id": "b" * 64, "public_key": "a" * 64}


def test_meters_may_have_keys_and_other_exchanges_are_known_by_their_logs(tmp_path: Path) -> None:
    others = [KNOWN, {"name": "town", "log_id": "c" * 64, "public_key": "d" * 64}]
    config = loaded(tmp_path, parties=[party(public_key=public(BOB))], known_logs=others)
    assert config.market_meters["m"].public_key == BOB.public_key
    assert config.logs == {
        bytes([0xBB]) * 32: bytes([0xAA]) * 32,
        bytes([0xCC]) * 32: bytes([0xDD]) * 32,
    }
    assert loaded(tmp_path).market_meters["bob"].public_key == b""


def test_it_becomes_what_the_market_is_made_of(tmp_path: Path) -> None:
    tariff = {"firm_micro_per_kwh": 7, "dispute_fee_fraction": 0.01}
    config = loaded(
        tmp_path,
        tariff=tariff,
        times={"read_s": 10},
        market={"self_trade": "oldest", "reference_micro_per_kwh": -5},
    )
    assert config.settings.choices == Choices(MicroPerKwh(-5), SelfTrade.CANCEL_OLDEST)
    assert loaded(tmp_path).settings.choices == Choices()
    assert config.market.rules.length_ns == 10 * NS_PER_S
    assert config.tariff.prices.firm_price == 7
    assert config.tariff.prices.dispute_fee_ppm == 10_000
    assert config.times.times.read_ns == 10 * NS_PER_S
    bob = config.market_meters["bob"]
    assert (bob.party, bob.router_id, bob.max_injected_w, bob.max_drawn_w) == ("bob", "r1", 4e6, 0)
    assert config.public_keys["bob"] == BOB.public_key


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"market": {"mechanisms": []}}, "'mechanisms' is empty"),
        ({"market": {"self_trade": "none"}}, "newest, oldest, both"),
        ({"market": {"interval_s": 1.5}}, "must be a whole number"),
        (
            {"market": {"reference_micro_per_kwh": 9_000_001}},
            "'reference_micro_per_kwh' is 9000001",
        ),
        ({"market": {"ahead": 1000, "interval_s": 900}}, "open fewer intervals"),
        ({"times": {"lead_s": 3}}, "less than market.gate_s, 3"),
        ({"tariff": {"feed_in_micro_per_kwh": 300_000}}, "nobody has a reason to trade"),
        ({"tariff": {"loss_payer": "nobody"}}, "buyer, seller, included"),
        ({"tariff": {"dispute_fee_fraction": 0.11}}, "'dispute_fee_fraction' is 0.11"),
        ({"operator": {"public_key": "ab"}}, "'public_key' is 'ab'"),
        ({"metrics": {"listen": "127.0.0.1:50090"}}, "clashes with listen"),
        ({"controller": []}, "'controller' is empty"),
        ({"parties": [party(), party()]}, "'eve', which parties[0] has already"),
        ({"parties": [party("operator")]}, "which the operator has already"),
        (
            {"parties": [party(), party("bob", meter="n")]},
            "'pv1', which parties[0].meters[0], 'm', has already",
        ),
        (
            {"parties": [party(), party("bob", source="pv2")]},
            "'m', which parties[0].meters[0], 'm', has already",
        ),
        (
            {"parties": [party() | {"meters": [meter(), meter(source="pv2")]}]},
            "'m', which parties[0].meters[0], 'm', has already",
        ),
        (
            {"parties": [party() | {"meters": [meter(), meter()]}]},
            "'pv1', which parties[0].meters[0], 'm', has already",
        ),
        ({"parties": [party(source="")]}, "is missing, and max_injected_w is 1000"),
        ({"parties": [party(load="l1")]}, "max_drawn_w' is 0, and the meter has the load 'l1'"),
        ({"parties": [party(source="", max_injected_w=0)]}, "neither a source nor a load"),
        ({"parties": [party(public_key="ab")]}, "'public_key' is 'ab'"),
        (
            {
                "parties": [
                    party(public_key="a" * 64),
                    party("bob", meter="n", source="pv2", public_key="a" * 64),
                ]
            },
            "which parties[0].meters[0], 'm', has already",
        ),
        ({"known_logs": [KNOWN | {"log_id": "ab"}]}, "'log_id' is 'ab'"),
        ({"known_logs": [KNOWN | {"public_key": ""}]}, "'public_key' is ''"),
        ({"known_logs": [{"name": "a", "log_id": "b" * 64}]}, "'public_key' is missing"),
        ({"known_logs": [KNOWN, KNOWN | {"name": "town"}]}, "which known_logs[0] has already"),
        ({"known_logs": [KNOWN, KNOWN | {"log_id": "c" * 64}]}, "which known_logs[0] has already"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"market.yaml:[0-9]+: ") as caught:
        loaded(tmp_path, **changes)
    assert said in str(caught.value)


def test_the_documented_file_has_every_key_at_its_default() -> None:
    path = Path(__file__).parents[3] / "docs" / "examples" / "market.yaml"
    config, text = load_config(path), path.read_text()
    parts = (config, config.market, config.tariff, config.times, config.operator)
    keys = [(part, each) for part in parts for each in fields(part)]
    assert [each.name for _, each in keys if f"{each.name}:" not in text] == []
    for part, each in keys:
        value = getattr(part, each.name)
        if each.default is not MISSING:
            assert value == each.default, each.name
        elif each.default_factory is not MISSING:
            assert value == each.default_factory(), each.name


def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which is no directory"):
        loaded(tmp_path, state_dir=str(tmp_path / "market.yaml"))
