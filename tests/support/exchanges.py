"""Files of exchanges, as they are written for tests."""

import json
from collections.abc import Mapping
from typing import Any

from trading.ledger.keys import SigningKey

OPERATOR = SigningKey.of_seed(bytes([9]) * 32)
ANN = SigningKey.of_seed(bytes([1]) * 32)
BOB = SigningKey.of_seed(bytes([2]) * 32)


def public(key: SigningKey) -> str:
    return key.public_key.hex()


def market_file(**changes: Any) -> str:
    """Of a market of two parties, ann who buys and bob who sells; what JSON writes YAML reads."""
    content: dict[str, Any] = {
        "market": {"name": "test", "interval_s": 10, "gate_s": 3},
        "operator": {"public_key": public(OPERATOR)},
        "parties": [
            _party("ann", ANN, {"meter": "ann", "router": "r3", "load": "town", "max_drawn_w": 3e6}),
            _party("bob", BOB, {"meter": "bob", "router": "r1", "source": "pv1", "max_injected_w": 4e6}),
        ],
    }  # fmt: skip
    for key, value in changes.items():
        before = content.get(key)
        if isinstance(before, dict) and isinstance(value, Mapping):
            content[key] = {**before, **value}
        else:
            content[key] = value
    return json.dumps(content, indent=1)


def _party(name: str, key: SigningKey, *meters: Mapping[str, Any]) -> dict[str, Any]:
    return {"party": name, "public_key": public(key), "meters": list(meters)}
