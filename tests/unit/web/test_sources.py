"""Scripts of the page: nothing builds them, so nothing else finds a name that is not there before somebody needs it."""

import re
from pathlib import Path

import pytest

from tests.support.javascript import code_of, declared, used

_PAGE = Path(__file__).parents[3] / "controller" / "web" / "page"
_EXPORTED = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.M)
_IMPORTED = re.compile(r"^import (?:\{|\* as )([^}]*?)(?:\}| from)", re.M)


@pytest.mark.parametrize(
    "use",
    [
        *(
            "one(1)",
            "one.value",
            "one[0]",
            "two(1, one)",
            "x instanceof one",
            "[...one]",
            "{ one }",
        ),
        *(
            "({ key: one })",
            "html`<b>${one}</b>`",
            "html`a ${two(html`<${one} />`)}`",
            "x ? one : 2",
        ),
    ],
)
def test_a_use_is_seen(use: str) -> None:
    assert "one" in used(code_of(use))


@pytest.mark.parametrize(
    "other",
    [
        *(
            "two.one",
            "two?.one",
            "({ one: 1 })",
            '"one"',
            "html`one ${two} one`",
            "// one",
            "/* one */",
        ),
        *("two(/one/)", "class Two {\n  one(two) {\n  }\n}"),
    ],
)
def test_what_only_looks_like_a_use_is_none(other: str) -> None:
    assert "one" not in used(code_of(other))


@pytest.mark.parametrize(
    "code",
    [
        *(
            'import { two, one } from "./a.js";',
            'import * as one from "./a.js";',
            "let two = f(1, 2), one;",
        ),
        *(
            "const { two: one = {} } = three;",
            "for (const [two, one] of all) {}",
            "all.map((one) => 1)",
        ),
        *("all.map(one => 1)", "function two({ one = 1 }) {}", "try {} catch (one) {}"),
        "class Two {\n  two(three, ...one) {\n  }\n}",
    ],
)
def test_a_declaration_is_seen(code: str) -> None:
    assert "one" in declared(code_of(code))


def test_a_file_imports_what_it_uses_of_others() -> None:
    sources = {
        path.relative_to(_PAGE): code_of(path.read_text(encoding="utf-8"))
        for path in _PAGE.rglob("*.js")
        if "vendor" not in path.parts
    }
    # What is others' and not ours, such as `html`, some file imports.
    names = {
        name
        for code in sources.values()
        for found in (*_EXPORTED.findall(code), *_IMPORTED.findall(code))
        for name in re.findall(r"\w+", re.sub(r"\w+ as ", "", found))
    }
    assert {"givenW", "power", "Glyph", "html"} <= names
    missing = {path: used(code) & names - declared(code) for path, code in sources.items()}
    assert {path: names for path, names in missing.items() if names} == {}
