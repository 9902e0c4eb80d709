from dataclasses import replace

import numpy as np
import pytest

from digitalgrid.gridfile import Grid, Link, Load, Router, Source
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Origin
from topologies.study.case import case_of


def imported(*links: Link, external: tuple[str, ...] = ("grid",)) -> Imported:
    names = dict.fromkeys(router for link in links for router in (link.a, link.b))
    first = next(iter(names))
    grid = Grid(
        "small",
        tuple(Router(name, 0.97 if name == "tie" else 1.0) for name in names),
        links,
        (Source("grid", first, 1e9), Source("grid2", "c", 1e9), Source("sun", "b", 1e6)),
        (Load("town", "b", 2e6),),
    )
    return Imported(
        grid=grid,
        warnings=(),
        router_of_bus={},
        load_origins={},
        source_origins={"grid": Origin("ext_grid", 0, 1)},
        reactance_ohm={link.id: 3.0 * link.resistance_ohm for link in links},
        tie_router_ids=("tie",) if "tie" in names else (),
        external_source_ids=external,
    )


CHAIN = (Link("l1", "a", "b", 1.0, 20e3, 100.0), Link("l2", "b", "c", 1.0, 20e3, 100.0))


def test_parallel_links_are_one_that_loses_the_same() -> None:
    double = (Link("p", "a", "b", 1.0, 20e3, 100.0), Link("q", "b", "a", 3.0, 20e3, 80.0))
    case = case_of(imported(*double, CHAIN[1]))
    assert len(case.link_a) == 2
    # 3 to 1: p carries 75 %, and is full at 100 / 0.75.
    assert case.ampacity_a[0] == pytest.approx(100.0 / 0.75)
    assert case.resistance_ohm[0] == pytest.approx(0.75**2 * 1.0 + 0.25**2 * 3.0)
    assert case.passive_loops == 0


def test_external_grids_hang_together_beyond() -> None:
    case = case_of(imported(*CHAIN, external=("grid", "grid2")))
    assert case.node_count == 2
    assert case.source_node.tolist() == [0, 0, 1]
    assert case.source_is_external.tolist() == [True, True, False]
    # Both lines now lead from the grid beyond to b.
    assert len(case.link_a) == 1
    assert case.resistance_ohm[0] == pytest.approx(0.5)


def test_ties_are_marked_and_convert() -> None:
    tie = (Link("t1", "c", "tie", 1.0, 20e3, 100.0), Link("t2", "tie", "a", 0.0, 20e3, 100.0))
    case = case_of(imported(*CHAIN, *tie))
    assert case.link_is_tie.tolist() == [False, False, True, True]
    assert sorted(case.efficiency) == [0.97, 1.0, 1.0, 1.0]
    assert case.fed(~case.link_is_tie).sum() == 3
    assert case.fed(np.ones(4, dtype=np.bool_)).all()


def test_what_cannot_be_studied_says_why() -> None:
    with pytest.raises(NetworkError, match="no external grid"):
        case_of(imported(*CHAIN, external=()))
    with pytest.raises(NetworkError, match="has DC lines, whose schedule"):
        case_of(replace(imported(*CHAIN), dc_router_ids=("b",)))
