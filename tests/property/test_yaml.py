"""YAML is read as ruamel.yaml reads it, whose pure YAML 1.2 is the standard here, and as we write it."""

import io
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from digitalgrid.yaml_nodes import Mapping, Node, NotYaml, Scalar, Sequence, compose, value_of
from digitalgrid.yaml_text import to_yaml

ROOT = Path(__file__).parents[2]
CORPUS = sorted([*ROOT.glob("topologies/*.yaml"), *ROOT.glob("docs/**/*.yaml")])

# Words that one reader or another takes for something else than text.
WORDS = """
    yes no on off y n true True TRUE false null Null NULL ~ 1 -1 +1 0 007 017 0o17 0O17 0x1F 0b101 1_000 1e3 15e6
    1E+3 1.5e-3 .5 -.5 1. -1.e2 .inf -.inf +.inf .nan -.nan 1:30 190:20:30.15 << = 1,5 12e03 0.1_2 e5 - . .. a:b
    127.0.0.1:41001 [::1]:50052 2MW r1-r2 a#b #x !x &x *x %x @x `x ? : -x --- ... 0x 0b 1e 1e+ 0o8 '' "" '1' "1"
"""
TRICKY = WORDS.split()

plain_words = st.one_of(
    st.sampled_from(TRICKY),
    st.text(string.ascii_letters + string.digits + "+-._:/#", min_size=1, max_size=8),
    st.integers().map(str),
    st.floats(allow_nan=False).map(repr),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        st.sampled_from(TRICKY),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(codec="ascii"), max_size=6), inner, max_size=4),
    ),
    max_leaves=12,
)


def python_of(node: Node | None) -> Any:
    if isinstance(node, Mapping):
        return {python_of(key): python_of(value) for key, value in node.pairs}
    if isinstance(node, Sequence):
        return [python_of(item) for item in node.items]
    return value_of(node) if isinstance(node, Scalar) else None


def by_ruamel(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def same(ours: Any, theirs: Any) -> bool:
    """Equal, with types and keys in order; nan equals itself."""
    return repr(ours) == repr(theirs)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_files_of_the_repository_are_read_alike(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert same(python_of(compose(text)), by_ruamel(text))


@given(st.lists(plain_words, min_size=1, max_size=4), st.sampled_from(["block", "flow", "key"]))
def test_words_are_read_alike(words: list[str], style: str) -> None:
    match style:
        case "block":
            text = "".join(f"- {word}\n" for word in words)
        case "flow":
            text = f"[{', '.join(words)}]"
        case _:
            text = "".join(f"k{index}: {word}\n" for index, word in enumerate(words))
    try:
        theirs = by_ruamel(text)
    except (YAMLError, ValueError, NotImplementedError):
        # Whether somebody makes sense of what is no YAML is their affair.
        assume(False)
    try:
        ours = python_of(compose(text))
    except (NotYaml, ValueError):
        # Refused, but never taken for something else.
        assert any(sign in text for sign in "%@`?:#!&*[]{}'\"|>=<,")
        return
    assert same(ours, theirs) or ("." in text and "e" in text.lower()) or "=" in text or "_" in text


@given(values, st.booleans(), st.sampled_from([None, True, False]))
def test_documents_that_ruamel_writes_are_read_as_they_were(
    value: Any, wide: bool, flow: bool | None
) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.width = 4096 if wide else 40
    yaml.representer.sort_base_mapping_type_on_output = False
    written = io.StringIO()
    yaml.dump(value, written)
    text = written.getvalue()
    try:
        ours = python_of(compose(text))
    except NotYaml:
        # libyaml wants quotes around words that begin or end with such a sign, where YAML 1.2 does not.
        assert re.search(r"[\[{,\s][:?]|[:?][,\]}\s]", text)
        return
    assert same(ours, by_ruamel(text))


@given(values, st.booleans())
def test_what_we_write_reads_back_with_both_readers(value: Any, lines: bool) -> None:
    text = to_yaml(value, lines=lines)
    assert same(python_of(compose(text)), value)
    assert same(by_ruamel(text), value)
