"""A grid as a dispatch problem: ids become numbers, standing flows become load on the lines."""

from collections.abc import Sequence

import numpy as np

from controller.routing.dispatch import DispatchProblem, Prices
from controller.routing.graph import PowerGraph, graph_of_links
from digitalgrid.gridfile import Grid
from digitalgrid.profiles import DeviceProfile


class PlanError(ValueError):
    """A grid that cannot be planned; the text says what to do."""


def problem_of(grid: Grid, prices: Prices | None = None) -> DispatchProblem:
    """All things keep the grid's order. Raises PlanError for standing flows that are too large."""
    node = {router.id: index for index, router in enumerate(grid.routers)}
    graph = graph_of_links(
        [router.efficiency for router in grid.routers],
        [node[link.a] for link in grid.links],
        [node[link.b] for link in grid.links],
        [link.resistance_ohm for link in grid.links],
        [link.voltage_v for link in grid.links],
        [link.ampacity_a for link in grid.links],
    )
    _load_standing(grid, graph, node)
    profiles = [grid.profile_of(router) for router in grid.routers]
    _limit_converters(graph, profiles)
    _leave_to_agents(graph, profiles)
    serves = [each.autonomy == "controller" and each.addressing == "ip" for each in profiles]
    return DispatchProblem(
        graph,
        source_node=np.array([node[source.router] for source in grid.sources], dtype=np.int32),
        source_max_w=np.array(
            [source.max_power_w * serves[node[source.router]] for source in grid.sources]
        ),
        source_cost_per_mwh=np.array([source.cost_per_mwh for source in grid.sources]),
        source_carbon_kg_per_mwh=np.array([source.carbon_kg_per_mwh for source in grid.sources]),
        load_node=np.array([node[load.router] for load in grid.loads], dtype=np.int32),
        load_power_w=np.array([load.power_w for load in grid.loads]),
        load_priority=np.array([load.priority for load in grid.loads], dtype=np.int64),
        load_value_per_mwh=np.array([load.value_per_mwh for load in grid.loads]),
        toll_per_mwh=np.array([link.cost_per_mwh for link in grid.links]),
        prices=prices or Prices(),
    )


def _limit_converters(graph: PowerGraph, profiles: Sequence[DeviceProfile]) -> None:
    """What may enter limited converters beside standing flows, of which more may come than goes, or go than comes."""
    arriving_w = graph.load_a * graph.voltage_v
    leaving_w = arriving_w + graph.resistance_ohm * graph.load_a**2
    for node, profile in enumerate(profiles):
        if profile.max_through_w is not None:
            comes_w = float(arriving_w[graph.head == node].sum())
            goes_w = float(leaving_w[graph.tail == node].sum() / graph.efficiency[node])
            graph.through_w[node] = profile.max_through_w - max(comes_w, goes_w)


def _leave_to_agents(graph: PowerGraph, profiles: Sequence[DeviceProfile]) -> None:
    """No circuit crosses a router that takes none."""
    left = [node for node, each in enumerate(profiles) if each.autonomy == "agents"]
    shut = np.isin(graph.tail, left) | np.isin(graph.head, left)
    for arc in np.flatnonzero(shut).tolist():
        graph.take_out_of_service(arc)


def _load_standing(grid: Grid, graph: PowerGraph, node: dict[str, int]) -> None:
    number = {link.id: index for index, link in enumerate(grid.links)}
    standing_a = np.zeros(graph.arc_count)
    for index, flow in enumerate(grid.standing):
        link = grid.link_of_standing(index)
        on_link = (graph.link == number[link.id]) & (graph.tail == node[flow.from_])
        standing_a[np.flatnonzero(on_link)[0]] += flow.power_w / link.voltage_v
        total_a = standing_a[graph.link == number[link.id]].sum()
        if total_a > link.ampacity_a * (1.0 + 1e-9):
            raise PlanError(
                f"standing[{index}]: link {link.id!r} would carry {total_a:g} A, and its ampacity is "
                f"{link.ampacity_a:g} A; lower power_w or raise the ampacity"
            )
    for arc in np.flatnonzero(standing_a):
        graph.set_load(int(arc), float(standing_a[arc]))
