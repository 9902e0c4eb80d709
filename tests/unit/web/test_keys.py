"""Keys of the operator's page, and what its documentation says of them."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def test_every_key_is_documented() -> None:
    keys = (_ROOT / "controller/web/page/keys.js").read_text(encoding="utf-8")
    documented = (_ROOT / "docs/page.md").read_text(encoding="utf-8")
    found = re.findall(r'\{ keys: "([^"]+)", says:', keys)
    assert len(found) > 10
    assert [each for each in found if f"`{each}`" not in documented] == []
