"""Scripts of the page: nothing builds them, so nothing else finds a name that is not there before somebody needs it."""

import re
from collections.abc import Iterable
from pathlib import Path

_PAGE = Path(__file__).parents[3] / "controller" / "web" / "page"
_COMMENT = re.compile(r"/\*.*?\*/|^\s*//.*?$", re.S | re.M)
_EXPORTED = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.M)
# What is called, whose value is read, and what is a component in markup.
_USED = re.compile(r"(?<![\w$.])(\w+)(?=\(|\.value\b)|<\$\{(\w+)\}")
# Names of a file's own, and those that it is given: imported, taken apart, or parameters.
_OWN = re.compile(r"\b(?:function|const|let|class) (\w+)|^\s+(?:async )?(\w+)\(.*\) \{$", re.M)
_GIVEN = re.compile(r"\b(?:import|const|let) [{[]([^=]*?)[}\]]|\(([^()]*)\) (?:=>|\{)")


def _names(found: Iterable[tuple[str, ...]]) -> set[str]:
    return {name for groups in found for group in groups for name in re.findall(r"\w+", group)}


def test_a_file_imports_what_it_uses_of_others() -> None:
    sources = {
        path.relative_to(_PAGE): _COMMENT.sub("", path.read_text(encoding="utf-8"))
        for path in _PAGE.rglob("*.js")
        if "vendor" not in path.parts
    }
    exported = {name for text in sources.values() for name in _EXPORTED.findall(text)}
    assert {"givenW", "power", "Glyph"} <= exported
    missing = {
        path: _names(_USED.findall(text))
        & exported - _names(_OWN.findall(text)) - _names(_GIVEN.findall(text))
        for path, text in sources.items()
    }
    assert {path: names for path, names in missing.items() if names} == {}
