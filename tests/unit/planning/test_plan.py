"""Plans of grids: published optima, the books, what is left unserved, and what cannot be planned."""

import json
from pathlib import Path
from typing import Any

import pytest

import topologies
from controller.planning.plan import plan, plan_file
from controller.planning.problem import PlanError
from controller.routing.dispatch import Prices
from digitalgrid.config_file import ConfigError
from digitalgrid.gridfile import Grid, load_grid, loads_grid

TOPOLOGIES = Path(topologies.__file__).parent

# Costs and capacities of links as in the published case; nothing is lost.
ABSTRACT_LINKS = (
    "1-3:3/200, 1-8:4/200, 2-4:3/100, 2-9:2/200, 3-4:5/140, 3-5:1/100, 3-6:3/100, 4-6:6/120, "
    "4-9:4/80, 5-6:2/100, 5-7:2/100, 6-8:2/100, 7-8:6/120, 7-9:2/80, 8-9:7/120"
)


def abstract_grid() -> Grid:
    routers = "\n".join(f"  - {{id: n{index}, efficiency: 1}}" for index in range(1, 10))
    links = []
    for text in ABSTRACT_LINKS.split(", "):
        ends, figures = text.split(":")
        (a, b), (cost, capacity) = ends.split("-"), figures.split("/")
        links.append(
            f"  - {{id: l{a}{b}, a: n{a}, b: n{b}, resistance_ohm: 0, voltage_v: 1, "
            f"ampacity_a: {capacity}, cost_per_mwh: {cost}}}"
        )
    return loads_grid(
        f"name: abstract\nrouters:\n{routers}\nlinks:\n"
        + "\n".join(links)
        + """
sources:
  - {id: s1, router: n1, max_power_w: 400}
  - {id: s2, router: n2, max_power_w: 100}
  - {id: s3, router: n3, max_power_w: 100}
loads: [{id: demand, router: n4, power_w: 250}]
standing: [{from: n9, to: n7, power_w: 80}]
"""
    )


def assert_books(report: dict[str, Any]) -> None:
    lost_w = report["generated_w"] - report["served_w"]
    assert lost_w == pytest.approx(report["loss_w"], rel=1e-9, abs=1e-9 * report["generated_w"])
    both_w = report["line_loss_w"] + report["converter_loss_w"]
    assert report["loss_w"] == pytest.approx(both_w, rel=1e-12)
    on_lines_w = sum(flow["sent_w"] - flow["received_w"] for flow in report["flows"])
    assert report["line_loss_w"] == pytest.approx(on_lines_w, rel=1e-9)
    delivered_w = sum(circuit["delivered_w"] for circuit in report["circuits"])
    assert delivered_w == pytest.approx(report["served_w"], rel=1e-9)
    injected_w = sum(circuit["injected_w"] for circuit in report["circuits"])
    assert injected_w == pytest.approx(report["generated_w"], rel=1e-9)
    assert len({flow["link"] for flow in report["flows"]}) == len(report["flows"])
    json.dumps(report, allow_nan=False)


def test_a_plan_keeps_to_what_routers_convert_and_names_those_that_bind() -> None:
    grid = load_grid(TOPOLOGIES / "village.grid.yaml")
    report = plan(grid)
    assert report["status"] == "optimal"
    entering_w = {router.id: 0.0 for router in grid.routers}
    for flow in report["flows"]:
        entering_w[flow["to"]] += flow["received_w"]
    for source in grid.sources:
        entering_w[source.router] += report["sources"][source.id]
    assert entering_w["house1"] == pytest.approx(14.5e3, rel=1e-6)
    assert entering_w["house2"] <= 14.5e3
    assert report["binding_cut"]["routers"] == ["house1"]
    # Left to agents: neither passed nor served.
    assert report["unserved"]["abroad"] == 50e3 and entering_w["beyond"] == 0.0


def test_ample_lines_lose_no_more_than_the_published_optimum() -> None:
    report = plan_file(TOPOLOGIES / "elan9.grid.yaml")
    assert report["status"] == "optimal"
    assert report["exact"] and report["unserved"] == {}
    assert report["served_w"] == pytest.approx(30e6)
    assert report["generated_w"] == pytest.approx(32.7944e6, abs=100)
    assert report["line_loss_w"] == pytest.approx(0.4027e6, abs=100)
    assert_books(report)


def test_scarce_lines_serve_the_published_optimum() -> None:
    report = plan_file(TOPOLOGIES / "elan9-300a.grid.yaml")
    assert report["served_w"] == pytest.approx(23.0788e6, abs=100)
    assert report["generated_w"] == pytest.approx(24.9204e6, abs=100)
    assert sum(report["unserved"].values()) == pytest.approx(30e6 - report["served_w"])
    assert set(report["binding_cut"]["links"]) == {"r1-r3", "r1-r8", "r2-r4", "r2-r9"}
    assert report["binding_cut"]["sources"] == []
    assert_books(report)


def test_the_abstract_case_is_exact() -> None:
    grid = abstract_grid()
    report = plan(grid)
    cost = {link.id: link.cost_per_mwh for link in grid.links}
    assert sum(cost[flow["link"]] * flow["received_w"] for flow in report["flows"]) == 1240.0
    assert report["cost_per_h"] == 1240.0 / 1e6
    assert report["served_w"] == 250.0
    assert "l79" not in {flow["link"] for flow in report["flows"]}
    assert_books(report)


EXAMPLE = """
name: example
defaults: {voltage_v: 1000, efficiency: 0.9, ampacity_a: 100}
routers: [{id: a}, {id: b}, {id: c}]
links:
  - {id: first, a: a, b: b, resistance_ohm: 1}
  - {id: second, a: a, b: b, resistance_ohm: 1}
sources:
  - {id: sun, router: a, max_power_w: 60e3, cost_per_mwh: 10, carbon_kg_per_mwh: 20}
  - {id: coal, router: b, max_power_w: 8e3, cost_per_mwh: 5, carbon_kg_per_mwh: 1000}
loads:
  - {id: town, router: b, power_w: 9e3}
  - {id: hamlet, router: c, power_w: 1e3}
"""


def test_islands_are_named_with_what_they_lack() -> None:
    report = plan(loads_grid(EXAMPLE))
    assert report["unserved"] == {"hamlet": 1e3}
    assert report["binding_cut"] == {"links": [], "sources": [], "routers": []}
    assert report["circuits"][-1]["path"][-1] == "b"
    assert_books(report)


def test_exhausted_sources_are_named() -> None:
    report = plan(loads_grid(EXAMPLE.replace("9e3}", "1e6}").replace("60e3", "6e3")))
    assert report["binding_cut"] == {"links": [], "sources": ["sun", "coal"], "routers": []}
    assert report["served_w"] == pytest.approx(0.9 * (8e3 + 0.9 * 6e3), rel=1e-2)


def test_costs_and_carbon_are_those_of_the_sources() -> None:
    grid = loads_grid(EXAMPLE)
    cheap = plan(grid)
    assert cheap["sources"]["coal"] == pytest.approx(8e3)
    expected = (10 * cheap["sources"]["sun"] + 5 * cheap["sources"]["coal"]) / 1e6
    assert cheap["cost_per_h"] == pytest.approx(expected)
    clean = plan(grid, Prices(carbon_per_kg=1.0))
    assert clean["sources"]["coal"] == pytest.approx(0.0, abs=1e-3)
    assert clean["carbon_kg_per_h"] < cheap["carbon_kg_per_h"]


def test_standing_flows_take_capacity_and_make_newcomers_pay() -> None:
    text = EXAMPLE + "standing: [{from: a, to: b, power_w: 90e3, link: first}]\n"
    only_first = text.replace("  - {id: second, a: a, b: b, resistance_ohm: 1}\n", "")
    report = plan(loads_grid(only_first.replace("8e3", "0")))
    (flow,) = report["flows"]
    assert flow["current_a"] == pytest.approx(10.0)
    assert flow["sent_w"] - flow["received_w"] == pytest.approx(10 * (2 * 90 + 10))


def test_standing_flows_beyond_the_ampacity_are_refused(tmp_path: Path) -> None:
    text = EXAMPLE + "standing: [{from: a, to: b, power_w: 100.1e3, link: first}]\n"
    with pytest.raises(PlanError, match=r"standing\[0\]: link 'first' would carry 100.1 A"):
        plan(loads_grid(text))
    path = tmp_path / "full.grid.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"full\.grid\.yaml: standing"):
        plan_file(path)


def test_surplus_is_said_to_be_curtailed() -> None:
    report = plan(loads_grid(EXAMPLE.replace("cost_per_mwh: 5", "cost_per_mwh: -5")))
    assert report["exact"]
    surplus = plan(loads_grid(EXAMPLE.replace("cost_per_mwh: 10", "cost_per_mwh: -10")))
    assert not surplus["exact"]
    assert surplus["surplus_w"] > 45e3
    assert "curtailed" in surplus["note"]
    assert_books(surplus)


def test_a_grid_without_loads_or_links() -> None:
    report = plan(loads_grid("name: g\nrouters: [{id: a, efficiency: 1}]"))
    assert report["status"] == "optimal"
    assert report["flows"] == report["circuits"] == []
    assert_books(report)
