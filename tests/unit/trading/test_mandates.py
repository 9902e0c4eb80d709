"""Mandates: what is signed is good for one call, of one content, at one market, by one key."""

import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from trading.ledger.keys import SigningKey
from trading.ledger.mandates import is_mandated, sign

KEY = SigningKey.of_seed(bytes(range(32)))
LOG = bytes(32)


def signed() -> pb.CancelTenderRequest:
    return sign("CancelTender", pb.CancelTenderRequest(order_id="o1"), "ann", 7, KEY, LOG)


def test_what_its_party_signed_is_good_and_is_left_as_it_came() -> None:
    request = signed()
    before = request.SerializeToString(deterministic=True)
    assert is_mandated("CancelTender", request, KEY.public_key, LOG)
    assert request.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("field", ["party", "nonce", "order_id"])
def test_another_content_is_not_signed_for(field: str) -> None:
    request = signed()
    if field == "order_id":
        request.order_id = "o2"
    elif field == "nonce":
        request.mandate.nonce += 1
    else:
        request.mandate.party = "bob"
    assert not is_mandated("CancelTender", request, KEY.public_key, LOG)


def test_what_is_named_as_evidence_is_signed_for() -> None:
    request = pb.OpenDisputeRequest(trade_id="t1", line="energy", evidence=["c7"])
    sign("OpenDispute", request, "ann", 1, KEY, LOG)
    assert is_mandated("OpenDispute", request, KEY.public_key, LOG)
    request.evidence[0] = "c8"
    assert not is_mandated("OpenDispute", request, KEY.public_key, LOG)


def test_a_signature_is_of_no_use_for_another_call_market_or_key() -> None:
    request = signed()
    assert not is_mandated("OpenDispute", request, KEY.public_key, LOG)
    assert not is_mandated("CancelTender", request, KEY.public_key, bytes([1]) * 32)
    other = SigningKey.of_seed(bytes(32))
    assert not is_mandated("CancelTender", request, other.public_key, LOG)
