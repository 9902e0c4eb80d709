"""Small grids for tests."""

from digitalgrid.gridfile import Grid, loads_grid

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


def diamond() -> Grid:
    return loads_grid(DIAMOND, "diamond")
