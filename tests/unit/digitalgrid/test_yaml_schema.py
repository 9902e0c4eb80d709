import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from digitalgrid.bounds import InvalidValue, bounds, check_bounds
from digitalgrid.config_file import MAX_BYTES, ConfigError
from digitalgrid.yaml_schema import load, loads


@dataclass(frozen=True)
class Port:
    id: str = field(metadata=bounds(pattern="[a-z]+"))
    power_w: float = field(metadata=bounds(exclusive_minimum=0, maximum=1e9))
    lanes: int = field(default=1, metadata=bounds(minimum=1))
    note: str | None = None


@dataclass(frozen=True)
class Box:
    name: str
    ports: tuple[Port, ...] = ()
    main: Port | None = None
    enabled: bool = False
    mode: Literal["fast", "safe"] = "safe"
    weights: tuple[float, ...] = field(default=(), metadata=bounds(minimum=0))

    def __post_init__(self) -> None:
        ids = [port.id for port in self.ports]
        for index, id_ in enumerate(ids):
            if id_ in ids[:index]:
                raise InvalidValue("ports", index, "id", message=f"is {id_!r} again")


def test_reads_nested_dataclasses_with_defaults() -> None:
    text = """
name: box
ports:
  - {id: a, power_w: 15e6}
  - {id: b, power_w: 3, lanes: 0x10, note: ~}
main: {id: c, power_w: 1.5}
enabled: true
mode: fast
weights: [0, 0.5]
"""
    assert loads(Box, text, "box.yaml") == Box(
        name="box",
        ports=(Port("a", 15e6), Port("b", 3.0, 16)),
        main=Port("c", 1.5),
        enabled=True,
        mode="fast",
        weights=(0.0, 0.5),
    )


def test_whole_numbers_become_floats_where_floats_are_asked_for() -> None:
    port = loads(Port, "id: a\npower_w: 3", "x")
    assert type(port.power_w) is float


def test_empty_document_is_all_defaults() -> None:
    @dataclass(frozen=True)
    class Relaxed:
        lease_ms: int = 2000

    assert loads(Relaxed, "", "x") == Relaxed()
    assert loads(Relaxed, "# nothing yet\n", "x") == Relaxed()


def test_anchors_are_followed() -> None:
    box = loads(Box, "name: b\nmain: &port {id: a, power_w: 1}\nports: [*port]", "x")
    assert box.ports == (box.main,)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: b\ncolour: red", 2, "unknown key 'colour'; known: enabled, main"),
        ("name: b\nport: []", 2, "did you mean 'ports'?"),
        ("ports: []", 1, "'name' is missing"),
        ("name: b\nports:\n  - {id: a}", 3, "'power_w' is missing"),
        ("name: b\nname: c", 2, "'name' is given twice"),
        ("name: 7", 1, "must be text; it is '7': write it in quotes, \"7\""),
        ("name: 2026-01-01", 1, "must be text"),
        ("name: [b]", 1, "it is a list"),
        ("name: b\nenabled: yes", 2, "must be true or false"),
        ("name: b\nenabled: 1", 2, "must be true or false"),
        ("name: b\nmode: quick", 2, "write one of: fast, safe"),
        ("name: b\nports: {}", 2, "must be a list"),
        ("name: b\nports:\n  - a", 3, "must be a mapping"),
        ("name: b\nmain: {id: a, power_w: 2MW}", 2, "a plain number of watts"),
        ("name: b\nmain: {id: a, power_w: .nan}", 2, "finite"),
        ("name: b\nmain: {id: a, power_w: -.inf}", 2, "finite"),
        ("name: b\nmain: {id: a, power_w: 1e999}", 2, "finite"),
        ("name: b\nmain: {id: a, power_w: 0}", 2, "'power_w' is 0.0; it must be above 0"),
        ("name: b\nmain:\n  id: a\n  power_w: 2e9", 4, "at most 1e+09"),
        ("name: b\nmain: {id: A, power_w: 1}", 2, "must match [a-z]+"),
        ("name: b\nmain: {id: a, power_w: 1, lanes: 1.0}", 2, "a whole number"),
        ("name: b\nmain: {id: a, power_w: 1, lanes: true}", 2, "a whole number"),
        ("name: b\nmain: {id: a, power_w: 1, lanes: 0}", 2, "at least 1"),
        ("name: b\nweights:\n  - 1\n  - -1", 4, "'weights[1]' is -1.0"),
        ("name: !!int b", 1, "cannot read 'b'"),
        ("name: !secret b", 1, "cannot read 'b'"),
        ("[name]: b", 1, "a key must be a single word"),
        ("- name", 1, "must be a mapping"),
        ("name: {", 1, "is not valid YAML"),
        (
            "name: b\nports:\n  - {id: a, power_w: 1}\n  - {id: a, power_w: 1}",
            4,
            "'ports[1].id' is 'a' again",
        ),
    ],
)
def test_refuses_with_the_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(Box, text, "box.yaml")
    assert str(caught.value).startswith(f"box.yaml:{line}: ")
    assert words in str(caught.value)
    assert caught.value.line == line


def test_control_characters_are_refused_without_a_line() -> None:
    with pytest.raises(ConfigError, match=r"^x: is not valid YAML"):
        loads(Box, "name: b\0", "x")


def test_shared_keys_stand_in_for_missing_ones() -> None:
    text = "name: b\ndefaults: {power_w: 5}\nports: [{id: a}, {id: b, power_w: 7}]"
    box = loads(Box, text, "x", shared_key="defaults", shared_by=(Port,))
    assert [port.power_w for port in box.ports] == [5.0, 7.0]


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ("{powr_w: 5}", "unknown key 'powr_w'; did you mean 'power_w'"),
        ("{power_w: -5}", "above 0"),
        ("{power_w: 5MW}", "watts"),
        ("5", "must be a mapping"),
    ],
)
def test_errors_in_shared_keys_name_their_own_line(shared: str, words: str) -> None:
    text = f"name: b\nports:\n  - {{id: a}}\ndefaults: {shared}"
    with pytest.raises(ConfigError) as caught:
        loads(Box, text, "x", shared_key="defaults", shared_by=(Port,))
    assert caught.value.line == 4
    assert words in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(Box, tmp_path / "absent.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not UTF-8"):
        load(Box, latin)


def test_what_is_no_regular_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(
            ConfigError, match=f"^{path}: cannot be read: it is no regular file; .*standard input"
        ):
            load(Box, path)
    with pytest.raises(ConfigError, match="cannot be read: embedded null"):
        load(Box, "a\0b")


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(f"name: b\n# {'x' * MAX_BYTES}")
    with pytest.raises(ConfigError, match="is too large; 4 MiB are the most"):
        load(Box, path)


@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_beyond_the_limit_is_refused_with_its_line(depth: int, opening: str) -> None:
    with pytest.raises(ConfigError, match=r"^x:2: (is nested too deeply; 64 levels|is not valid)"):
        loads(Box, f"name: b\nports: \\\n{opening * depth}".replace("\\\n", ""), "x")


def test_aliases_can_not_make_much_of_little() -> None:
    text = "name: b\nmain: &a {id: a, power_w: 1}\nports: [" + "*a," * 20_000 + "]"
    with pytest.raises(ConfigError, match=r"^x:3: has too many aliases"):
        loads(Box, text, "x")
    with pytest.raises(ConfigError, match=r"^x:2: .*\*a stands within itself"):
        loads(Box, "name: b\nports: &a [*a]", "x")
    with pytest.raises(ConfigError, match=r"^x:1: .*nothing is called &a"):
        loads(Box, "name: *a", "x")


def test_long_ids_and_keys_are_quoted_in_part() -> None:
    for text in (
        "name: b\nmain: {id: %s, power_w: 1}",
        "name: b\nmode: %s",
        "name: b\n%s: 1",
        "name: b\n%s: 1\n%s: 1",
        "name: [%s",
    ):
        with pytest.raises(ConfigError) as caught:
            loads(Box, text.replace("%s", "A" * 1_000_000), "x")
        assert len(str(caught.value)) < 700


def test_text_that_cannot_be_shown_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"'name' is 'a\\x1b\[2J'; leave out what cannot be shown"
    ):
        loads(Box, 'name: "a\\e[2J"', "x")


def test_bounds_hold_for_dataclasses_made_in_code() -> None:
    check_bounds(Port("a", 1.0))
    with pytest.raises(InvalidValue, match="'power_w' is nan; it must be finite"):
        check_bounds(Port("a", float("nan")))


def test_unsupported_annotation_is_a_programming_error() -> None:
    @dataclass(frozen=True)
    class Wrong:
        table: dict[str, int]

    with pytest.raises(TypeError, match="not supported"):
        loads(Wrong, "table: {}", "x")


def test_libyaml_reads_here() -> None:
    """Without it a file of 3 MB takes a minute instead of seconds."""
    assert yaml.__with_libyaml__
