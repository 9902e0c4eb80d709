"""Terms of a trade as bytes: all that is agreed is in them, and a retry after a crash has the same again."""

import msgspec
import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.sagas import HELD, told, trade
from trading.core.trades import Begin, Trade, decoded, encoded
from trading.core.units import MicroPerKwh, Wh
from trading.exchange.terms import salt_of, terms_bytes, terms_hash


def held() -> Trade:
    one = trade()
    told(one, Begin(), HELD)
    return one


def test_terms_are_the_same_after_a_crash() -> None:
    one = held()
    assert terms_bytes(decoded(encoded(one))) == terms_bytes(one)
    assert salt_of(b"secret", "t1") == salt_of(b"secret", "t1")


def test_terms_say_what_was_agreed_and_what_the_path_costs() -> None:
    terms = pb.TradeTerms.FromString(terms_bytes(held()))
    assert (terms.buyer, terms.seller, terms.wh, terms.injected_wh) == ("ann", "bob", 1000, 1050)
    assert (terms.toll_micro_per_kwh, terms.tariff.firm_micro_per_kwh) == (2_000, 10_000)


@pytest.mark.parametrize(
    "changed",
    [
        {"trade_id": "t2"},
        {"buyer": "eve"},
        {"sell_meter": "m3"},
        {"injected_wh": Wh(1051)},
        {"path": ("l1",)},
    ],
)
def test_another_trade_has_another_hash(changed: dict[str, object]) -> None:
    one = held()
    other = msgspec.structs.replace(one, **changed)
    salt = salt_of(b"secret", "t1")
    assert terms_hash(terms_bytes(other), salt) != terms_hash(terms_bytes(one), salt)


def test_a_price_of_the_tariff_is_part_of_it() -> None:
    one, other = held(), held()
    tariff = msgspec.structs.replace(other.terms.tariff, overdraw_price=MicroPerKwh(1))
    other.terms = msgspec.structs.replace(other.terms, tariff=tariff)
    assert terms_bytes(one) != terms_bytes(other)


def test_each_trade_and_market_has_a_salt_of_its_own() -> None:
    salts = {salt_of(secret, id_) for secret in (b"a", b"b") for id_ in ("t1", "t2")}
    assert len(salts) == 4
    assert {len(each) for each in salts} == {32}
