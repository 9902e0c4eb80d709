"""Optimal power dispatch of a grid file (interior point), and the circuits that carry it, as one JSON object."""

import os
from collections.abc import Callable
from os import PathLike
from time import perf_counter
from typing import Any

import numpy as np

from controller.planning.problem import PlanError, problem_of
from controller.routing.compiled import (
    ENGINE_VARIABLE,
    Engine,
    are_kept,
    engine_in_use,
    use_engine,
)
from controller.routing.dispatch import (
    Dispatch,
    DispatchProblem,
    Prices,
    binding_cut,
    decompose,
    dispatch,
    figures_of,
)
from digitalgrid.config_file import ConfigError
from digitalgrid.gridfile import Grid, load_grid

# Share of a load below which what is unserved is rounding, and not reported.
_UNSERVED = 1e-6
# Planned within seconds by interpreted kernels, which is sooner than any could be compiled.
_MAX_ROUTERS_INTERPRETED = 1_000


def plan_file(
    path: str | PathLike[str],
    prices: Prices | None = None,
    begin: Callable[[str], None] = lambda phase: None,
) -> dict[str, Any]:
    """The report of :func:`plan` on a grid file; ``begin`` is told each phase of the work.

    Raises ConfigError for what cannot be read or planned.
    """
    begin(f"reading {path}")
    grid = load_grid(path)
    before = engine_in_use()
    use_engine(_engine_for(len(grid.routers)))
    begin(f"planning {len(grid.routers)} routers, {len(grid.links)} links")
    try:
        return plan(grid, prices)
    except PlanError as error:
        raise ConfigError(str(path), None, str(error)) from error
    finally:
        use_engine(before)


def _engine_for(routers: int) -> Engine:
    """Compiled, if that is there already; who plans a small network has a plan before it could be."""
    if ENGINE_VARIABLE in os.environ or are_kept("solver") or routers > _MAX_ROUTERS_INTERPRETED:
        return engine_in_use()
    return Engine.INTERPRETED


def plan(grid: Grid, prices: Prices | None = None) -> dict[str, Any]:
    """Serve loads by priority, then by value, at the least cost, then with the least loss; all figures in W.

    ``status`` is "optimal", also where not all loads can be served (``unserved`` then names them, and ``binding_cut``
    what keeps them from it). Where the last digits cannot be had it is "feasible", and the cost is proven to be at
    most ``gap`` times itself above the optimum; where nothing was found, "not converged", with all figures 0. The
    ``note`` says so, too. ``generated_w - served_w`` is ``loss_w``, which is ``line_loss_w + converter_loss_w``, on
    top of what standing flows lose. ``circuits`` stand in the order of their admission. ``solve_s`` are the seconds of
    the computation. Raises PlanError.
    """
    begin_s = perf_counter()
    problem = problem_of(grid, prices)
    answer = dispatch(problem)
    circuits = decompose(problem, answer)
    solve_s = perf_counter() - begin_s
    report: dict[str, Any] = {"status": answer.status, "gap": answer.gap}
    report |= _totals(problem, answer)
    report |= _unserved(grid, problem, answer)
    report["flows"] = _flows(grid, problem, answer)
    report["circuits"] = [
        {
            "source": grid.sources[circuit.source].id,
            "sink": grid.loads[circuit.load].id,
            "path": [grid.routers[node].id for node in circuit.nodes],
            "links": [grid.links[int(problem.graph.link[arc])].id for arc in circuit.arcs],
            "delivered_w": circuit.delivered_w,
            "injected_w": circuit.injected_w,
        }
        for circuit in circuits
    ]
    report["sources"] = {
        source.id: float(generated_w)
        for source, generated_w in zip(grid.sources, answer.generated_w, strict=True)
    }
    report |= {
        "exact": answer.exact,
        "surplus_w": answer.surplus_w,
        "note": _note(answer),
        "solve_s": solve_s,
    }
    return report


def _totals(problem: DispatchProblem, answer: Dispatch) -> dict[str, float]:
    figures = figures_of(problem, answer)
    return {
        "served_w": figures.served_w,
        "generated_w": figures.generated_w,
        "loss_w": figures.loss_w,
        "line_loss_w": figures.line_loss_w,
        "converter_loss_w": figures.converter_loss_w,
        "cost_per_h": figures.cost_per_h,
        "carbon_kg_per_h": figures.carbon_kg_per_h,
    }


def _unserved(grid: Grid, problem: DispatchProblem, answer: Dispatch) -> dict[str, Any]:
    short_w = problem.load_power_w - answer.served_w
    unserved = np.flatnonzero(short_w > _UNSERVED * problem.load_power_w)
    report: dict[str, Any] = {
        "unserved": {grid.loads[load].id: float(short_w[load]) for load in unserved},
        "binding_cut": {"links": [], "sources": [], "routers": []},
    }
    if len(unserved) and answer.status == "optimal":
        cut = binding_cut(problem, answer, unserved)
        report["binding_cut"] = {
            "links": [grid.links[link].id for link in cut.links],
            "sources": [grid.sources[source].id for source in cut.sources],
            "routers": [grid.routers[node].id for node in cut.converters],
        }
    return report


def _flows(grid: Grid, problem: DispatchProblem, answer: Dispatch) -> list[dict[str, Any]]:
    graph = problem.graph
    carrying = np.flatnonzero(answer.received_w > 0.0)
    by_link = carrying[np.argsort(graph.link[carrying], kind="stable")]
    return [
        {
            "link": grid.links[int(graph.link[arc])].id,
            "from": grid.routers[int(graph.tail[arc])].id,
            "to": grid.routers[int(graph.head[arc])].id,
            "sent_w": float(answer.sent_w[arc]),
            "received_w": float(answer.received_w[arc]),
            "current_a": float(answer.received_w[arc] / graph.voltage_v[arc]),
        }
        for arc in by_link
    ]


def _note(answer: Dispatch) -> str:
    if answer.status == "not converged":
        return (
            f"the solver stopped {answer.residual:.1e} (of the largest load) short of balance or "
            "optimality, and nothing is planned; figures that differ less in size may help"
        )
    if answer.status == "feasible":
        also = f"; {answer.note}" if answer.note else ""
        return (
            "this plan can be carried out, but it is not proven to be the best: the best is cheaper by at most "
            f"{answer.gap:.2g} times its cost, where unserved power counts as dearer than all else{also}"
        )
    return answer.note
