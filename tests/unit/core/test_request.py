"""A request's fingerprint, which stores keep."""

import json
from hashlib import sha256

import msgspec
import pytest

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest


@pytest.mark.parametrize(
    "request_",
    [
        PowerRequest("a", "town", 1.5e6),
        PowerRequest('é"x', "town", 1e22, ("pv", "gas"), Constraints(0.1, 3, ("r1",)), True),
        PowerRequest('é"\u2028', "to\\wn", 1e-7 + 1.0, ("pv", 'g"as'), owner="alice"),
        PowerRequest("a", "town", 1234.5678, (), Constraints(max_hops=0)),
        PowerRequest("a", "town", 1e6, setup_priority=0, hold_priority=3, floor_w=0.5e6),
        PowerRequest("a", "town", 1e6, protect=Against.RISK),
        PowerRequest("a", "town", 1e6, hold_ms=7),
        PowerRequest("a", "town", 1e6, explicit_route=("x", "y")),
        PowerRequest("a", "town", 1e6, explicit_route=()),
        PowerRequest("a", "town", 1e6, until_unix_ns=10**18),
    ],
)
def test_it_is_that_of_all_fields_that_were_given_as_sorted_json(request_: PowerRequest) -> None:
    constraints = msgspec.structs.asdict(request_.constraints)
    if not constraints["packets"]:
        del constraints["packets"]
    fields = msgspec.structs.asdict(request_) | {"constraints": constraints}
    absent = {
        "setup_priority": None,
        "hold_priority": None,
        "floor_w": 0.0,
        "protect": None,
        "dedicated": False,
        "proposed": None,
        "hold_ms": None,
        "explicit_route": None,
        "until_unix_ns": None,
    }
    # Whoever asks again asks for the same.
    del fields["owner"]
    fields = {key: value for key, value in fields.items() if (key, value) not in absent.items()}
    content = json.dumps(fields, sort_keys=True).encode()
    assert request_.fingerprint() == sha256(content).hexdigest()
