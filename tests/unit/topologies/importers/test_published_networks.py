"""All networks that pandapower ships plan to optimality; the large ones in the benchmark ``published-networks``."""

import pytest

pytest.importorskip("pandapower")

from controller.planning.problem import problem_of
from controller.routing.dispatch import decompose, dispatch
from tests.support.dispatch_cases import assert_physical
from topologies.importers.imported import Options
from topologies.importers.specification import import_network, pandapower_networks

# Of a thousand buses and more.
LARGE = ("case1354", "case1888", "case2848", "case2869", "case3120", "case6", "case9241", "GBnet")
SMALL = [name for name in pandapower_networks() if not name.startswith(LARGE)]
SMALL += ["case6ww"]


def test_the_list_has_every_kind() -> None:
    names = pandapower_networks()
    for known in ("case9241pegase", "mv_oberrhein", "create_cigre_network_mv", "example_simple"):
        assert known in names
    assert any("kerber" in name for name in names) and len(names) > 50
    assert "create_dickert_lv_feeders" not in names, "it needs a network to add to"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    "options",
    [Options(), Options(tie_routers=True, router_efficiency=0.98)],
    ids=["passive buses", "power routers"],
)
def test_a_published_network_plans_to_optimality(name: str, options: Options) -> None:
    problem = problem_of(import_network(f"pandapower:{name}", options).grid)
    answer = dispatch(problem)
    assert answer.status == "optimal"
    assert_physical(problem, answer)
    served_w = sum(circuit.delivered_w for circuit in decompose(problem, answer))
    assert served_w == pytest.approx(answer.served_w.sum())
