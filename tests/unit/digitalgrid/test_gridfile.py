import re
from pathlib import Path

import pytest

from digitalgrid.bounds import InvalidValue
from digitalgrid.config_file import ConfigError
from digitalgrid.gridfile import (
    Grid,
    Link,
    Load,
    Router,
    Source,
    Standing,
    dump_grid,
    load_grid,
    loads_grid,
)
from digitalgrid.limits import MAX_ADVERTISED

EXAMPLE = """name: example
defaults: {voltage_v: 20000, efficiency: 0.97, ampacity_a: 300}
routers:
  - {id: r1, efficiency: 0.99}
  - {id: r3}
links:
  - {id: r1-r3, a: r1, b: r3, resistance_ohm: 0.48, ampacity_a: 700, cost_per_mwh: 2}
sources:
  - {id: pv1, router: r1, max_power_w: 15e6, cost_per_mwh: -1, renewable: true}
loads:
  - {id: town, router: r3, power_w: 5e6, priority: 1, value_per_mwh: 1000}
"""


def test_reads_a_grid_with_defaults(tmp_path: Path) -> None:
    path = tmp_path / "example.grid.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    assert load_grid(path) == Grid(
        name="example",
        routers=(Router("r1", 0.99), Router("r3", 0.97)),
        links=(Link("r1-r3", "r1", "r3", 0.48, 20e3, 700.0, 2.0),),
        sources=(Source("pv1", "r1", 15e6, -1.0, True),),
        loads=(Load("town", "r3", 5e6, 1, 1000.0),),
    )


PROFILES = """name: p
defaults: {voltage_v: 400, efficiency: 0.9, ampacity_a: 100}
profiles:
  - {id: small, max_through_w: 10e3, max_ports: 1, efficiency_curve: [[0.1, 0.9], [0.5, 0.97], [1, 0.95]]}
routers:
  - {id: a, profile: small}
  - {id: b, profile: single-phase}
  - {id: c}
links:
  - {id: a-b, a: a, b: b, resistance_ohm: 0.1}
  - {id: b-c, a: b, b: c, resistance_ohm: 0.1}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("profile: small", "profile: smal", 6, "is 'smal', which is no profile; known: dgr, mas-"),
        ("efficiency: 0.9,", "efficiency: 0.95,", 2, "the curve of profile 'small' falls to 0.9"),
        ("a: b, b: c", "a: a, b: c", 11, "at 'a' has no port left there: profile 'small' has 1"),
        ("voltage_v: 400", "voltage_v: 500", 2, "ports of profile 'single-phase' take 0 V to 400"),
        ("id: small", "id: dgr", 4, "is 'dgr', which is built in; choose another"),
        ("max_through_w: 10e3, ", "", 4, "needs max_through_w, of which its shares are parts"),
        ("max_through_w: 10e3", "max_through_w: 0", 4, "must be above 0"),
        ("max_ports: 1", "max_ports: 0", 4, "must be at least 1"),
        ("0.5, 0.97", "0.05, 0.97", 4, "'efficiency_curve[1]' must be [share, efficiency]"),
        ("[0.5, 0.97], [1, 0.95]", "[0.11, 0.5]", 4, "less leaves where more enters"),
        ("max_ports: 1", "addressing: none", 4, "packets are forwarded by addresses"),
        ("max_ports: 1", "min_voltage_v: 9, max_voltage_v: 3", 4, "is 9, above max_voltage_v"),
        ("max_ports: 1", "standby_w: 3", 4, "unknown key 'standby_w'"),
    ],
)
def test_profiles_that_no_device_has_or_that_do_not_fit_are_refused_with_the_line(
    old: str, new: str, line: int, words: str
) -> None:
    grid = loads_grid(PROFILES)
    assert loads_grid(dump_grid(grid)) == grid
    with pytest.raises(ConfigError, match=re.escape(words)) as error:
        loads_grid(PROFILES.replace(old, new, 1))
    assert error.value.line == line
    follows = "which is no profile" in str(error.value) and "no profile" not in words
    assert not follows, "a profile that is wrong is one all the same"


@pytest.mark.parametrize("kind", ["links", "sources", "loads"])
def test_more_than_a_router_can_advertise_is_refused_with_the_first_beyond(kind: str) -> None:
    shapes = {
        "links": "  - {{id: x{0}, a: r1, b: r3, resistance_ohm: 1}}",
        "sources": "  - {{id: x{0}, router: r1, max_power_w: 1}}",
        "loads": "  - {{id: x{0}, router: r1, power_w: 1}}",
    }
    more = "\n".join(shapes[kind].format(each) for each in range(MAX_ADVERTISED))
    text = EXAMPLE.split(f"{kind}:")[0] + f"{kind}:\n"
    first = text.count("\n") + 1
    assert loads_grid(text + more)
    with pytest.raises(ConfigError, match=f"one of more than 512 {kind} of router 'r1'") as error:
        loads_grid(f"{text}{more}\n{shapes[kind].format('last')}")
    assert error.value.line == first + MAX_ADVERTISED


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("{id: r3}", "{id: r1}", 5, "already called"),
        ("{id: r3}", "{id: r1-r3}", 7, "'links[0].id' is 'r1-r3', which one of the routers"),
        ("{id: r3}", "{id: r 3}", 5, "must match"),
        ("{id: r3}", "{id: r3, efficency: 1}", 5, "did you mean 'efficiency'"),
        ("b: r3", "b: r9", 7, "unknown router 'r9'"),
        ("b: r3", "b: r1", 7, "join two routers"),
        ("router: r1", "router: r9", 9, "unknown router 'r9'"),
        ("router: r3", "router: r9", 11, "unknown router 'r9'"),
        ("efficiency: 0.99", "efficiency: 0", 4, "above 0"),
        ("efficiency: 0.97", "efficiency: 1.01", 2, "at most 1"),
        ("resistance_ohm: 0.48", "resistance_ohm: -0.1", 7, "at least 0"),
        ("resistance_ohm: 0.48, ", "", 7, "'resistance_ohm' is missing"),
        ("voltage_v: 20000", "voltage_v: 0", 2, "above 0"),
        ("ampacity_a: 700", "ampacity_a: -1", 7, "above 0"),
        ("ampacity_a: 700", "ampacity_a: 1e306", 7, "at most 1e+09"),
        ("voltage_v: 20000", "voltage_v: 1.1e9", 2, "at most 1e+09"),
        ("resistance_ohm: 0.48", "resistance_ohm: 1.1e9", 7, "at most 1e+09"),
        ("cost_per_mwh: 2", "cost_per_mwh: 1.1e12", 7, "at most 1e+12"),
        ("max_power_w: 15e6", "max_power_w: 1e307", 9, "at most 1e+12"),
        ("cost_per_mwh: -1", "cost_per_mwh: -1.1e12", 9, "at least -1e+12"),
        ("power_w: 5e6", "power_w: 1.1e12", 11, "at most 1e+12"),
        ("value_per_mwh: 1000", "value_per_mwh: 1.1e12", 11, "at most 1e+12"),
        ("{id: r3}", "{id: r3, at: [1]}", 5, "'at' has 1 figures; write [x, y]"),
        ("{id: r3}", "{id: r3, at: [1, .inf]}", 5, "finite"),
        ("{id: r3}", "{id: r3, at: [1, 2e9]}", 5, "x and y lie between -1e+09 and 1e+09"),
        ("{id: r3}", "{id: r3, at: town}", 5, "at"),
        ("cost_per_mwh: 2", "via: [[1, 2], [3]]", 7, "'via[1]' has 1 figures"),
        ("cost_per_mwh: 2", f"via: {[[0, 0]] * 65}", 7, "has 65 corners; 64 is the most"),
        ("max_power_w: 15e6", "max_power_w: 15MW", 9, "plain number of watts"),
        ("power_w: 5e6", "power_w: .inf", 11, "finite"),
        ("voltage_v: 20000", "volts: 20000", 2, "unknown key 'volts'"),
        ("voltage_v: 20000", "max_power_w: 20000", 2, "unknown key 'max_power_w'"),
    ],
)
def test_refuses_with_the_line(old: str, new: str, line: int, words: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(ConfigError) as caught:
        loads_grid(EXAMPLE.replace(old, new, 1), "x.grid.yaml")
    assert str(caught.value).startswith(f"x.grid.yaml:{line}: ")
    assert words in str(caught.value)


def test_places_and_corners_are_kept_and_left_out_where_nobody_gave_any() -> None:
    text = EXAMPLE.replace("{id: r3}", "{id: r3, at: [7.5, -48]}")
    grid = loads_grid(text.replace("cost_per_mwh: 2", "via: [[1, 2], [3, 4.5]]"))
    assert [router.at for router in grid.routers] == [None, (7.5, -48.0)]
    assert grid.links[0].via == ((1.0, 2.0), (3.0, 4.5))
    assert loads_grid(dump_grid(grid)) == grid
    plain = dump_grid(loads_grid(EXAMPLE))
    assert "at:" not in plain
    assert "via" not in plain


def test_a_source_and_a_load_may_rest() -> None:
    text = EXAMPLE.replace("max_power_w: 15e6", "max_power_w: 0")
    grid = loads_grid(text.replace("power_w: 5e6", "power_w: 0"))
    assert (grid.sources[0].max_power_w, grid.loads[0].power_w) == (0, 0)


def test_defaults_of_links_are_not_those_of_sources() -> None:
    text = EXAMPLE.replace("ampacity_a: 300}", "ampacity_a: 300, cost_per_mwh: 9}")
    text = text.replace(", cost_per_mwh: -1", "").replace(", cost_per_mwh: 2", "")
    grid = loads_grid(text)
    assert grid.links[0].cost_per_mwh == 9
    assert grid.sources[0].cost_per_mwh == 0


def test_a_grid_made_in_code_is_checked_as_well() -> None:
    with pytest.raises(InvalidValue, match=r"'loads\[0\].router' names the unknown router 'r2'"):
        Grid("g", routers=(Router("r1", 1.0),), loads=(Load("l", "r2", 1.0),))
    with pytest.raises(InvalidValue, match="at least one router"):
        Grid("g", routers=())


def test_dump_quotes_ids_that_look_like_numbers() -> None:
    grid = Grid("true", routers=(Router("1", 1.0), Router("1e5", 0.1 + 0.2)))
    assert loads_grid(dump_grid(grid)) == grid


def test_dump_has_one_line_for_each_thing() -> None:
    grid = loads_grid(EXAMPLE)
    text = dump_grid(grid)
    assert loads_grid(text) == grid
    assert "  - {id: r1, efficiency: 0.99}\n" in text
    assert len(text.splitlines()) == 1 + 4 + 5


STANDING = (
    EXAMPLE
    + """standing:
  - {from: r3, to: r1, power_w: 1e6}
"""
)


def test_reads_what_stands_already() -> None:
    grid = loads_grid(STANDING)
    assert grid.standing == (Standing("r3", "r1", 1e6),)
    assert grid.link_of_standing(0).id == "r1-r3"
    assert "  - {from: r3, to: r1, power_w: 1000000}\n" in dump_grid(grid)
    assert "standing" not in dump_grid(loads_grid(EXAMPLE))


PARALLEL = STANDING.replace(
    "sources:", "  - {id: second, a: r3, b: r1, resistance_ohm: 0.1}\nsources:"
)


def test_what_stands_on_parallel_links_names_one() -> None:
    grid = loads_grid(PARALLEL.replace("power_w: 1e6", "power_w: 1e6, link: second"))
    assert grid.link_of_standing(0).id == "second"
    assert loads_grid(dump_grid(grid)) == grid


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "words"),
    [
        (STANDING, "from: r3, ", "", 13, "'from' is missing"),
        (STANDING, "from: r3", "from_: r3", 13, "unknown key 'from_'; did you mean 'from'"),
        (STANDING, "from: r3", "from: r9", 13, "'standing[0].from' names the unknown router 'r9'"),
        (STANDING, "to: r1", "to: r3", 13, "'to' is 'r3' as 'from' is"),
        (STANDING, "1e6", "-1", 13, "'power_w' is -1.0; it must be at least 0"),
        (STANDING, "1e6", "1e6, link: x", 13, "no link between 'r3' and 'r1'"),
        (PARALLEL, "1e6", "1e6", 14, "may be over any of r1-r3, second; add 'link'"),
        (
            STANDING.replace("{id: r3}", "{id: r3}\n  - {id: r4}"),
            "to: r1",
            "to: r4",
            14,
            "to which no link leads from 'r3'",
        ),
    ],
)
def test_refuses_what_cannot_stand(text: str, old: str, new: str, line: int, words: str) -> None:
    assert old in text
    with pytest.raises(ConfigError) as caught:
        loads_grid(text.replace(old, new, 1), "x.grid.yaml")
    assert str(caught.value).startswith(f"x.grid.yaml:{line}: ")
    assert words in str(caught.value)
