"""A router's file: defaults that work, and mistakes that name their line."""

from pathlib import Path

import pytest

from digitalgrid.config_file import ConfigError
from router_agent.config import RouterConfig, load_config, parse_loopback

WHOLE = """\
router_id: r1
state_dir: /run/r1
controllers: ["127.0.0.1:50052", "10.0.0.2:50052"]
tick_interval_ms: 200
hello_interval_ms: 100
efficiency: 0.98
links:
  - {id: r1-r3, neighbor: r3, resistance_ohm: 0.48, voltage_v: 20e3, ampacity_a: 700, interface: r1-r3}
  - {id: r1-r8, neighbor: r8, local: "127.0.0.1:41001", remote: "127.0.0.1:41002"}
sources: [{id: pv1, max_power_w: 15e6, cost_per_mwh: 0, renewable: true}]
loads: [{id: town, power_w: 5e6, priority: 0, value_per_mwh: 1000}]
"""


def read(tmp_path: Path, text: str) -> RouterConfig:
    path = tmp_path / "r1.yaml"
    path.write_text(text)
    return load_config(path)


def test_more_than_a_router_can_advertise_is_refused_with_the_first_beyond(tmp_path: Path) -> None:
    loads = "".join(f"  - {{id: x{each}}}\n" for each in range(513))
    with pytest.raises(ConfigError, match=r"r1.yaml:515: .*one of more than 512"):
        read(tmp_path, f"router_id: r1\nloads:\n{loads}")


def test_a_whole_file(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert config.links[0].ampacity_a == 700.0 and config.links[1].remote == "127.0.0.1:41002"
    assert config.sources[0].max_power_w == 15e6 and config.loads[0].power_w == 5e6
    assert (config.tick_ns, config.hello_ns, config.dead_ns) == (
        200_000_000,
        100_000_000,
        320_000_000,
    )


def test_an_id_is_enough(tmp_path: Path) -> None:
    config = read(tmp_path, "router_id: r1\n")
    assert config.tick_interval_ms == 100 and config.hello_interval_ms == 50
    assert config.controllers == ("127.0.0.1:50052",)
    assert config.state_path == Path(".run/r1")


@pytest.mark.parametrize(
    ("was", "becomes", "line", "message"),
    [
        ("efficiency: 0.98", "efficiency: 1.2", 6, "at most 1"),
        ("efficiency: 0.98", "eficiency: 0.98", 6, "did you mean 'efficiency'"),
        ("tick_interval_ms: 200", "tick_interval_ms: 0.2", 4, "whole number"),
        ("tick_interval_ms: 200", "tick_interval_ms: 200ms", 4, "milliseconds"),
        ("neighbor: r3", "neighbor: r1", 8, "is this router itself"),
        ("resistance_ohm: 0.48", "resistance_ohm: -1", 8, "at least 0"),
        ("ampacity_a: 700", "ampacity_a: .inf", 8, "finite"),
        ("voltage_v: 20e3", "voltage_v: 1e-4", 8, "at least 0.001"),
        ("efficiency: 0.98", "efficiency: 1e-9", 6, "at least 1e-06"),
        ("0.48, voltage_v: 20e3", "1e9, voltage_v: 0.001", 8, "would lose 1e+15 W to deliver"),
        ("20e3, ampacity_a: 700", "1e9, ampacity_a: 1e9", 8, "1e+12 W is the most"),
        ('"127.0.0.1:41002"', '"127.0.0.1:41002", carrier_key: short', 9, "it must match"),
        (", interface: r1-r3", "", 8, "either an interface, or both local and remote"),
        (', remote: "127.0.0.1:41002"', "", 9, "loopback"),
        ("127.0.0.1:41002", "192.0.2.1:41002", 9, "loopback"),
        ("id: r1-r8", "id: r1-r3", 9, "stands there twice"),
        ("15e6", "15MW", 10, "watts"),
        ("10.0.0.2:50052", "10.0.0.2", 3, "HOST:PORT"),
        ("router_id: r1", "state_dirs: x", 1, "unknown key"),
    ],
)
def test_a_mistake_names_its_line(
    tmp_path: Path, was: str, becomes: str, line: int, message: str
) -> None:
    assert was in WHOLE
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, WHOLE.replace(was, becomes, 1))
    assert f"r1.yaml:{line}: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "10.0.0.1:5", "localhost:5"]
)
def test_only_loopback_addresses_are_lines(address: str) -> None:
    with pytest.raises(ValueError):
        parse_loopback(address)
