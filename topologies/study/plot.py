"""A study as a picture: losses and unserved power over time, both variants."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from topologies.importers.optional import require
from topologies.study.evaluation import StepResult

_VARIANTS = (("operated", "as operated", "tab:red"), ("routers", "with power routers", "tab:blue"))
_FIGURES = (("loss", "losses, kW"), ("unserved", "unserved, kW"))
# More points than this on one curve are averaged by the day.
_MAX_POINTS = 2000
_MIN_SHARE = 1e-3


def plot(title: str, results: Sequence[StepResult], times: Sequence[datetime], path: Path) -> None:
    """Writes a PNG. ``times[i]`` is when ``results[i]`` is; steps without an answer leave gaps."""
    dates = require("matplotlib.dates")
    figure = require("matplotlib.figure").Figure(figsize=(11, 6), layout="constrained")
    most_asked_kw = max((result.load_w for result in results), default=0.0) / 1e3
    by_day = len(results) > _MAX_POINTS
    figure.suptitle(f"{title} (means by day)" if by_day else title)
    for axes, (name, label) in zip(figure.subplots(2, 1, sharex=True), _FIGURES, strict=True):
        highest = 0.0
        for prefix, legend, colour in _VARIANTS:
            values_kw = np.array([getattr(each, f"{prefix}_{name}_w") for each in results]) / 1e3
            shown_times, shown_kw = (
                _means_by_day(times, values_kw) if by_day else (times, values_kw)
            )
            highest = max(highest, float(np.nanmax(shown_kw, initial=0.0)))
            axes.plot(shown_times, shown_kw, label=legend, color=colour, linewidth=1.2)
        axes.set_ylabel(label)
        # Nothing unserved is a flat line, and so is what no reader could see of the loads.
        visible = highest if name == "loss" else max(highest, _MIN_SHARE * most_asked_kw)
        top = 1.05 * visible or 1.0
        # A little below 0, so that a line at 0 is seen.
        axes.set_ylim(bottom=-0.02 * top, top=top)
        axes.grid(alpha=0.3)
        locator = dates.AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right")
    figure.savefig(path, dpi=120)


def _means_by_day(
    times: Sequence[datetime], values: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[list[datetime], list[float]]:
    days: dict[datetime, list[float]] = {}
    for time, value in zip(times, values, strict=True):
        if not np.isnan(value):
            days.setdefault(datetime(time.year, time.month, time.day), []).append(float(value))
    return list(days), [float(np.mean(day)) for day in days.values()]
