"""A study in figures: energies of both variants, as JSON for programs and a table for people."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from controller.routing.graph import Floats
from digitalgrid.units import MJ_PER_WH
from topologies.importers.profiles import SECONDS_PER_STEP
from topologies.study.evaluation import CURTAILED, FAILED, StepResult
from topologies.study.missing import Supply, from_text, supplies, total

# Loads that lacked most, of which a reader is told by name.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Variant:
    """Energies over the steps that are compared, and the greatest loss of a step. ``supply`` is that of all loads."""

    loss_wh: float
    unserved_wh: float
    curtailed_wh: float
    worst_loss_w: float
    supply: Supply


@dataclass(frozen=True, slots=True)
class LoadSupply:
    """What one load was promised, and got, in both variants."""

    load_id: str
    operated: Supply
    with_routers: Supply


@dataclass(frozen=True, slots=True)
class AcCheck:
    """Losses of sampled steps: the AC power flow's, and ours as operated with fixed losses; their ratio."""

    samples: int
    not_converged: int
    ac_loss_wh: float
    operated_loss_wh: float
    operated_to_ac: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Compared are the steps for which both variants have an answer; the others are counted in ``failed_steps``.

    ``fixed_loss_wh`` (iron) is lost in both variants and in neither's ``loss_wh``. ``shed_steps`` are those at which
    the network as operated would overload a line.
    """

    specification: str
    hours: float
    steps: int
    failed_steps: int
    shed_steps: int
    routers: int
    links: int
    tie_routers: int
    passive_loops: int
    load_wh: float
    local_wh: float
    fixed_loss_wh: float
    operated: Variant
    with_routers: Variant
    saved_loss_wh: float
    saved_unserved_wh: float
    ac: AcCheck
    warnings: tuple[str, ...]
    loads: tuple[LoadSupply, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compared(result: StepResult) -> bool:
    return FAILED not in (result.operation, result.routing)


def energy_wh(powers_w: Sequence[float], every: int) -> float:
    """Each power stands for ``every`` steps."""
    return math.fsum(powers_w) * every * SECONDS_PER_STEP / 3600.0


def supplies_of(
    results: Sequence[StepResult], load_w: Floats, prefix: str, every: int
) -> list[Supply]:
    """By load, of one variant; ``load_w[i]`` is asked at the step of ``results[i]``."""
    missing = (
        each for result in results for each in from_text(getattr(result, f"{prefix}_missing"))
    )
    return supplies(load_w, missing, every)


def variant_of(
    results: Sequence[StepResult], of_loads: Sequence[Supply], prefix: str, every: int
) -> Variant:
    loss_w, unserved_w, curtailed_w = (
        [float(getattr(result, f"{prefix}_{figure}_w")) for result in results]
        for figure in ("loss", "unserved", "curtailed")
    )
    return Variant(
        loss_wh=energy_wh(loss_w, every),
        unserved_wh=energy_wh(unserved_w, every),
        curtailed_wh=energy_wh(curtailed_w, every),
        worst_loss_w=max(loss_w, default=0.0),
        supply=total(of_loads),
    )


def shed_steps(results: Sequence[StepResult]) -> int:
    return sum(result.operation == CURTAILED for result in results)


def ac_check(
    results: Sequence[StepResult], ac_loss_w: dict[int, float], fixed_losses_w: float, every: int
) -> AcCheck:
    """Only of steps that were not shed: the AC power flow sheds nothing."""
    pairs = [
        (result.operated_loss_w + fixed_losses_w, ac_loss_w[result.step])
        for result in results
        if result.operation not in (CURTAILED, FAILED)
        and not math.isnan(ac_loss_w.get(result.step, math.nan))
    ]
    ours_wh = energy_wh([ours for ours, _ in pairs], every)
    theirs_wh = energy_wh([theirs for _, theirs in pairs], every)
    return AcCheck(
        samples=len(ac_loss_w),
        not_converged=sum(math.isnan(loss) for loss in ac_loss_w.values()),
        ac_loss_wh=theirs_wh,
        operated_loss_wh=ours_wh,
        operated_to_ac=ours_wh / theirs_wh if theirs_wh > 0.0 else None,
    )


def table_of(summary: Summary) -> Table:
    """Both variants side by side."""
    title = f"{summary.specification}: {summary.hours:g} h, {summary.steps} steps"
    table = Table("", "as operated", "with power routers", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    one, other = summary.operated, summary.with_routers
    table.add_row("losses of lines and converters", _mwh(one.loss_wh), _mwh(other.loss_wh))
    table.add_row("  of the load", _share(one.loss_wh, summary), _share(other.loss_wh, summary))
    table.add_row("missing at loads", *_missing_of(one.supply, other.supply))
    for name, cause in (
        ("  no line leads to them", "unfed_mj"),
        ("  sources lacked", "sources_mj"),
        ("  lines were full", "lines_mj"),
    ):
        lacked = [getattr(each.supply, cause) for each in (one, other)]
        if any(lacked):
            table.add_row(name, *[_of_mj(each) for each in lacked])
    table.add_row("local sources curtailed", _mwh(one.curtailed_wh), _mwh(other.curtailed_wh))
    table.add_row("greatest loss at once", _kw(one.worst_loss_w), _kw(other.worst_loss_w))
    table.add_row("lost whatever flows (iron)", *[_mwh(summary.fixed_loss_wh)] * 2)
    return table


def remarks_of(summary: Summary) -> list[str]:
    """What a reader of the table must know, a sentence each."""
    remarks = [
        f"asked: {_mwh(summary.load_wh)}, local sources could feed {_mwh(summary.local_wh)}; "
        f"{summary.tie_routers} ties are power routers"
    ]
    if not summary.tie_routers:
        remarks.append("there is no power router at a tie: differences do not come from any")
    if summary.passive_loops:
        remarks.append(
            f"{summary.passive_loops} loops without a power router: with power routers, flows there are the best "
            "there could be, not those that impedances give: that part of the difference is no saving"
        )
    if summary.shed_steps:
        remarks.append(
            f"as operated, lines would be overloaded at {summary.shed_steps} steps; as little as possible is shed there"
        )
    if summary.failed_steps:
        remarks.append(f"{summary.failed_steps} steps have no answer and are not compared")
    remarks += _lacking(summary)
    ac = summary.ac
    if ac.operated_to_ac is not None:
        remarks.append(
            f"AC power flow at {ac.samples} steps ({ac.not_converged} without an answer): "
            f"our losses as operated, with iron, are {ac.operated_to_ac:.1%} of its losses; "
            "it has reactive power and voltages, we do not"
        )
    return remarks


def _lacking(summary: Summary) -> list[str]:
    """The loads that lacked most, of each variant."""
    remarks = []
    for how, variant in (("as operated", "operated"), ("with power routers", "with_routers")):
        lacked = [
            (getattr(each, variant).missing_mj, each.load_id)
            for each in summary.loads
            if getattr(each, variant).missing_mj
        ]
        lacked.sort(key=lambda each: (-each[0], each[1]))
        named = [f"{load_id} {_of_mj(mj)}" for mj, load_id in lacked[:_NAMED]]
        if len(lacked) > _NAMED:
            named.append(f"{len(lacked) - _NAMED} more")
        if named:
            remarks.append(f"{how}, missing at loads: {', '.join(named)}")
    return remarks


def _missing_of(*of: Supply) -> list[str]:
    return [_of_mj(each.missing_mj) for each in of]


def _of_mj(energy_mj: int) -> str:
    return _mwh(energy_mj / MJ_PER_WH)


def _mwh(energy_wh: float) -> str:
    return f"{energy_wh / 1e6:.4f} MWh"


def _kw(power_w: float) -> str:
    return f"{power_w / 1e3:.3f} kW"


def _share(energy_wh: float, summary: Summary) -> str:
    return f"{energy_wh / summary.load_wh:.3%}" if summary.load_wh > 0.0 else "-"
