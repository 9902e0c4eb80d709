"""Small grids for tests."""

from dataclasses import replace

from digitalgrid.gridfile import Grid, loads_grid
from digitalgrid.profiles import DeviceProfile

# Two ways from the solar plant to town, and a second source behind the longer one.
DIAMOND = """
name: diamond
defaults: {voltage_v: 20000, efficiency: 0.97, ampacity_a: 300}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}]
links:
  - {id: r1-r2, a: r1, b: r2, resistance_ohm: 0.4}
  - {id: r2-r4, a: r2, b: r4, resistance_ohm: 0.4}
  - {id: r1-r3, a: r1, b: r3, resistance_ohm: 0.8}
  - {id: r3-r4, a: r3, b: r4, resistance_ohm: 0.8}
sources:
  - {id: solar, router: r1, max_power_w: 9e6, cost_per_mwh: 0, renewable: true}
  - {id: gas, router: r3, max_power_w: 4e6, cost_per_mwh: 60}
loads:
  - {id: town, router: r4, power_w: 12e6, value_per_mwh: 1000}
  - {id: pump, router: r1, power_w: 1e6, priority: 1}
  - {id: works, router: r2, power_w: 5e6}
"""

# A detour that carries less than the way itself.
NARROW = """
name: narrow
defaults: {voltage_v: 20000, efficiency: 1.0, resistance_ohm: 0.1}
routers: [{id: r1}, {id: r2}, {id: r3}]
links:
  - {id: r1-r3, a: r1, b: r3, ampacity_a: 300}
  - {id: r1-r2, a: r1, b: r2, ampacity_a: 120, resistance_ohm: 1}
  - {id: r2-r3, a: r2, b: r3, ampacity_a: 120, resistance_ohm: 1}
sources: [{id: solar, router: r1, max_power_w: 9e6}]
loads:
  - {id: town, router: r3, power_w: 5e6}
  - {id: clinic, router: r3, power_w: 2e6, priority: 5}
"""

# Two plants with a line to town each, and a spare way that carries what one of them sends.
SPARE_WAY = """
name: spare-way
defaults: {voltage_v: 20000, efficiency: 0.99, ampacity_a: 80, resistance_ohm: 0.2}
routers: [{id: a}, {id: b}, {id: t}, {id: x}]
links:
  - {id: a-t, a: a, b: t}
  - {id: b-t, a: b, b: t}
  - {id: a-x, a: a, b: x, ampacity_a: 200}
  - {id: b-x, a: b, b: x, ampacity_a: 200}
  - {id: x-t, a: x, b: t, ampacity_a: SPARE}
sources:
  - {id: plant-a, router: a, max_power_w: 6e6}
  - {id: plant-b, router: b, max_power_w: 6e6}
loads:
  - {id: town, router: t, power_w: 6e6}
"""


def narrow() -> Grid:
    return loads_grid(NARROW, "narrow")


def spare_way(spare_a: float = 80.0) -> Grid:
    """``spare_a`` is what the last line of the way carries that both plants have beside their own."""
    return loads_grid(SPARE_WAY.replace("SPARE", f"{spare_a:g}"), "spare-way")


def diamond() -> Grid:
    return loads_grid(DIAMOND, "diamond")


# Six routers in a ring with two chords; sources and lines are tight, so that circuits compete.
MESH = """
name: mesh
defaults: {voltage_v: 20000, efficiency: 0.98, ampacity_a: 200}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}, {id: r5, efficiency: 0.95}, {id: r6}]
links:
  - {id: r1-r2, a: r1, b: r2, resistance_ohm: 0.3}
  - {id: r2-r3, a: r2, b: r3, resistance_ohm: 0.5}
  - {id: r3-r4, a: r3, b: r4, resistance_ohm: 0.3, ampacity_a: 120}
  - {id: r4-r5, a: r4, b: r5, resistance_ohm: 0.4}
  - {id: r5-r6, a: r5, b: r6, resistance_ohm: 0.6}
  - {id: r6-r1, a: r6, b: r1, resistance_ohm: 0.2}
  - {id: r2-r5, a: r2, b: r5, resistance_ohm: 0.7, ampacity_a: 150}
  - {id: r3-r6, a: r3, b: r6, resistance_ohm: 0.9}
sources:
  - {id: hydro, router: r1, max_power_w: 5e6}
  - {id: wind, router: r3, max_power_w: 3e6, renewable: true}
  - {id: roof, router: r3, max_power_w: 1e6, renewable: true}
  - {id: gas, router: r5, max_power_w: 4e6, cost_per_mwh: 70}
loads:
  - {id: town, router: r4, power_w: 6e6}
  - {id: works, router: r2, power_w: 3e6, priority: 1}
  - {id: clinic, router: r6, power_w: 2e6, priority: 9}
  - {id: farm, router: r5, power_w: 2e6}
"""


def mesh() -> Grid:
    return loads_grid(MESH, "mesh")


def narrow_mesh() -> Grid:
    """The mesh with routers whose converters bind before its lines do."""
    grid = mesh()
    profiles = (
        DeviceProfile("narrow", max_through_w=3.5e6),
        DeviceProfile("wide", max_through_w=9e6),
    )
    of = {"r1": "wide", "r3": "narrow", "r4": "wide", "r5": "narrow", "r6": "narrow"}
    routers = tuple(replace(each, profile=of.get(each.id, "dgr")) for each in grid.routers)
    return replace(grid, routers=routers, profiles=profiles)


def roomy_mesh() -> Grid:
    """The same with room for a standby beside each circuit, and a duct that two lines share."""
    text = MESH.replace("ampacity_a: 200", "ampacity_a: 900").replace(
        "ampacity_a: 120", "risk_groups: [duct]"
    )
    text = text.replace(", ampacity_a: 150}", ", risk_groups: [duct]}").replace("e6", "e7")
    return loads_grid(text, "roomy mesh")


def ladder() -> Grid:
    """Three rows of four routers, with lines that many circuits can share, and ways around each."""
    names = [[f"{row}{column}" for column in range(4)] for row in "abc"]
    routers = "".join(f"  - {{id: {name}}}\n" for row in names for name in row)
    pairs = [(row[i], row[i + 1]) for row in names for i in range(3)]
    pairs += [(names[i][j], names[i + 1][j]) for i in range(2) for j in range(4)]
    links = "".join(f"  - {{id: {a}-{b}, a: {a}, b: {b}}}\n" for a, b in pairs)
    return loads_grid(
        "name: ladder\n"
        "defaults: {voltage_v: 20000, efficiency: 0.98, ampacity_a: 250, resistance_ohm: 0.3}\n"
        f"routers:\n{routers}links:\n{links}"
        "sources: [{id: east, router: a0, max_power_w: 9e6}, {id: west, router: c3, max_power_w: 9e6}]\n"
        "loads: [{id: one, router: b1, power_w: 4e6}, {id: two, router: a3, power_w: 4e6},"
        " {id: three, router: c0, power_w: 4e6}]\n",
        "ladder",
    )
