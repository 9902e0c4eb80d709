"""``run_study``: a day or a year of a SimBench network, resumable, over all cores, to a table and a plot."""

import csv
import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from digitalgrid.errors import ExplainedError
from digitalgrid.gridfile import dump_grid
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Options
from topologies.importers.pandapower_import import import_pandapower
from topologies.importers.profiles import SECONDS_PER_STEP, STEPS_PER_DAY, Profiles, profiles_of
from topologies.importers.specification import load_network, name_of
from topologies.study.ac_check import ac_losses
from topologies.study.case import StudyCase, case_of
from topologies.study.evaluation import StepResult
from topologies.study.missing import from_text, to_text
from topologies.study.plot import plot
from topologies.study.records import Records, StudyError
from topologies.study.summary import (
    LoadSupply,
    Summary,
    ac_check,
    compared,
    energy_wh,
    remarks_of,
    shed_steps,
    supplies_of,
    table_of,
    variant_of,
)
from topologies.study.workers import evaluate_all

Period = Literal["day", "year"]

_TIME_FORMAT = "%d.%m.%Y %H:%M"


class StudyInterrupted(ExplainedError):
    """Ctrl-C or SIGTERM; what was done is kept, and the same call goes on with it."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is studied: steps of a network's profiles, each standing for ``every`` of them."""

    specification: str
    imported: Imported
    case: StudyCase
    profiles: Profiles
    steps: range

    @property
    def every(self) -> int:
        return self.steps.step

    def settings(self, options: Options) -> dict[str, Any]:
        """All that must not change while a study goes on, as JSON gives it back."""
        digest = hashlib.sha256(dump_grid(self.imported.grid).encode())
        for series in (self.profiles.load_w, self.profiles.source_w):
            digest.update(np.ascontiguousarray(series[self.steps]).tobytes())
        return {
            "specification": self.specification,
            "first_step": self.steps.start,
            "end_step": self.steps.stop,
            "every": self.every,
            "options": asdict(options),
            "data_sha256": digest.hexdigest(),
        }


def run_study(
    specification: str,
    output_dir: Path,
    *,
    period: Period = "day",
    day: int | None = None,
    every: int = 1,
    options: Options | None = None,
    workers: int | None = None,
    ac_samples: int = 24,
    console: Console | None = None,
) -> Summary:
    """Compares a network as operated with the same one whose open ties are power routers, step by step.

    ``specification`` is ``simbench:CODE``, or a pandapower JSON file of a network with SimBench's profiles. ``day``
    counts from 1 and is, when not given, that of the greatest exchange with the grid beyond, in or out; ``every``
    takes every n-th quarter hour only; ``workers`` is one for each core when not given; ``ac_samples`` steps are
    checked by the AC power flow.

    Writes ``results.csv``, ``summary.json`` and ``plot.png`` to ``output_dir``, progress and the table to ``console``.
    Raises NetworkError (of which StudyError is one) for what cannot be done, and StudyInterrupted.
    """
    _check(period, day, every, workers, ac_samples)
    options = options or Options(tie_routers=True)
    console = console or Console()
    with console.status(f"reading {specification}"):
        net = load_network(specification)
        imported = import_pandapower(net, options, name_of(specification))
        profiles = profiles_of(net, imported)
        case = case_of(imported)
    steps = _steps(case, profiles, period, day, every)
    plan = _Plan(specification, imported, case, profiles, steps)
    with _interruptible(output_dir), Records(output_dir, plan.settings(options)) as records:
        done = {step for step, result in records.done.items() if compared(result)}
        left = [step for step in plan.steps if step not in done]
        if len(left) < len(plan.steps):
            console.print(
                f"going on: {len(plan.steps) - len(left)} of {len(plan.steps)} steps are done"
            )
        count = workers or len(os.sched_getaffinity(0))
        with _progress(console) as bar:
            task = bar.add_task(
                "steps", total=len(plan.steps), completed=len(plan.steps) - len(left)
            )
            for results in evaluate_all(case, profiles, left, count):
                records.append(results)
                bar.advance(task, len(results))
            ac_loss_w = _check_by_ac(net, plan, ac_samples, bar)
        results = [records.done[step] for step in plan.steps]
    summary = _summarise(plan, results, ac_loss_w)
    _write(output_dir, plan, results, ac_loss_w, summary)
    for warning in summary.warnings:
        console.print(f"import: {warning}", style="dim", highlight=False)
    console.print(table_of(summary))
    for remark in remarks_of(summary):
        console.print(f"- {remark}", highlight=False)
    return summary


def _check(period: str, day: int | None, every: int, workers: int | None, ac_samples: int) -> None:
    if period not in ("day", "year"):
        raise StudyError(f"the period is {period!r}; write day or year")
    if day is not None and (period != "day" or day < 1):
        raise StudyError("a day is counted from 1, and goes with the period day")
    if every < 1 or (workers is not None and workers < 1) or ac_samples < 0:
        raise StudyError("every and workers are at least 1, ac_samples at least 0")


def _steps(
    case: StudyCase, profiles: Profiles, period: Period, day: int | None, every: int
) -> range:
    if period == "year":
        return range(0, profiles.steps, every)
    days = profiles.steps // STEPS_PER_DAY
    if day is None:
        whole = slice(0, days * STEPS_PER_DAY)
        local_w = profiles.source_w[whole][:, ~case.source_is_external].sum(axis=1)
        exchange_w = np.abs(profiles.load_w[whole].sum(axis=1) - local_w)
        day = int(exchange_w.reshape(days, STEPS_PER_DAY).max(axis=1).argmax()) + 1
    if day > days:
        raise StudyError(f"the profiles have {days} days, there is no day {day}")
    first = (day - 1) * STEPS_PER_DAY
    return range(first, first + STEPS_PER_DAY, every)


def _check_by_ac(net: Any, plan: _Plan, samples: int, bar: Progress) -> dict[int, float]:
    """AC losses at about ``samples`` steps, evenly spread."""
    if samples == 0:
        return {}
    chosen = plan.steps[:: -(-len(plan.steps) // samples)]
    task = bar.add_task("AC power flow", total=len(chosen))
    losses = {}
    for step, loss_w in ac_losses(net, chosen):
        losses[step] = loss_w
        bar.advance(task)
    return losses


def _summarise(plan: _Plan, results: Sequence[StepResult], ac_loss_w: dict[int, float]) -> Summary:
    good = [result for result in results if compared(result)]
    every, imported = plan.every, plan.imported
    load_w = plan.profiles.load_w[[result.step for result in good]]
    by_load = [supplies_of(good, load_w, prefix, every) for prefix in ("operated", "routers")]
    operated = variant_of(good, by_load[0], "operated", every)
    with_routers = variant_of(good, by_load[1], "routers", every)
    return Summary(
        specification=plan.specification,
        hours=energy_wh([1.0] * len(good), every),
        steps=len(results),
        failed_steps=len(results) - len(good),
        shed_steps=shed_steps(results),
        routers=len(imported.grid.routers),
        links=len(imported.grid.links),
        tie_routers=len(imported.tie_router_ids),
        passive_loops=plan.case.passive_loops,
        load_wh=energy_wh([result.load_w for result in good], every),
        local_wh=energy_wh([result.local_w for result in good], every),
        fixed_loss_wh=energy_wh([imported.fixed_losses_w] * len(good), every),
        operated=operated,
        with_routers=with_routers,
        saved_loss_wh=operated.loss_wh - with_routers.loss_wh,
        saved_unserved_wh=operated.unserved_wh - with_routers.unserved_wh,
        ac=ac_check(results, ac_loss_w, imported.fixed_losses_w, every),
        warnings=imported.warnings,
        loads=tuple(
            LoadSupply(load.id, *supplies)
            for load, *supplies in zip(imported.grid.loads, *by_load, strict=True)
        ),
    )


def _write(
    directory: Path,
    plan: _Plan,
    results: Sequence[StepResult],
    ac_loss_w: dict[int, float],
    summary: Summary,
) -> None:
    times = [plan.profiles.times[result.step] for result in results]
    load_ids = [load.id for load in plan.imported.grid.loads]
    with (directory / "results.csv").open("w", encoding="utf-8", newline="") as file:
        columns = ["time", *(name for name in StepResult.__slots__), "ac_loss_w"]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for time, result in zip(times, results, strict=True):
            checked = {"time": time, "ac_loss_w": ac_loss_w.get(result.step, "")}
            writer.writerow(asdict(result) | _missing_by_id(result, load_ids) | checked)
    text = json.dumps(summary.to_json(), indent=2) + "\n"
    (directory / "summary.json").write_text(text, encoding="utf-8")
    # The data's own times jump where summer time begins and ends.
    begin = datetime.strptime(plan.profiles.times[0], _TIME_FORMAT)
    when = [begin + timedelta(seconds=result.step * SECONDS_PER_STEP) for result in results]
    plot(plan.specification, results, when, directory / "plot.png")


def _missing_by_id(result: StepResult, load_ids: Sequence[str]) -> dict[str, str]:
    """What a row says of loads' missing energy, for readers."""
    return {
        column: to_text(from_text(getattr(result, column)), load_ids)
        for column in ("operated_missing", "routers_missing")
    }


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


@contextmanager
def _interruptible(directory: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a study between two pieces of work, and say that it can go on."""

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if in_main_thread else None
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise StudyInterrupted(
            f"interrupted; what is done is kept in {directory}, run the same command again to go on"
        ) from interrupt
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


__all__ = ["NetworkError", "StudyError", "StudyInterrupted", "Summary", "run_study"]
