"""The benchmarks as people look at them: a table, and a plot of how many times faster we are than each peer."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import geometric_mean

from rich.table import Table

from benchmarks.harness import Row
from benchmarks.targets import NOT_KEPT, TARGETS


def ratios(rows: Sequence[Row]) -> Iterator[tuple[Row, str, float]]:
    """Each row with each peer and how many times longer that took."""
    for row in rows:
        for peer, seconds in row.peers.items():
            yield row, peer, seconds / row.ours_s


def table(rows: Sequence[Row]) -> Table:
    shown = Table("benchmark", "instance", "ours", "peer", "times faster", "promised", "agree")
    for row in rows:
        peers = sorted(row.peers.items(), key=lambda each: each[1]) or [("", 0.0)]
        for index, (peer, seconds) in enumerate(peers):
            promised = TARGETS.get((row.name, row.size, peer))
            shown.add_row(
                row.name if index == 0 else "",
                row.instance if index == 0 else "",
                _ours(row) if index == 0 else "",
                peer,
                f"{seconds / row.ours_s:.3g}" if peer else "",
                _promise(promised, seconds / row.ours_s) if promised else "",
                ("yes" if row.agree else "NO") if index == 0 else "",
                end_section=index == len(peers) - 1,
            )
    return shown


def missed(rows: Sequence[Row]) -> list[str]:
    """A sentence on each promise that is broken; of those known as not kept, on what is worse than that."""
    faults = [
        f"{row.name} on {row.instance}: our answer is not as good as a peer's"
        for row in rows
        if not row.agree
    ]
    for row, peer, ratio in ratios(rows):
        key = (row.name, row.size, peer)
        promised = NOT_KEPT.get(key, TARGETS.get(key, 0))
        if ratio < promised:
            faults.append(
                f"{row.name} on {row.instance}: {ratio:.3g} times faster than {peer}, promised {promised:g}"
            )
    return faults


def plot(rows: Sequence[Row], path: Path) -> None:
    """Bars of the ratios on a logarithmic scale, one group a benchmark and size; the mean over its instances."""
    from matplotlib.figure import Figure

    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, peer, ratio in ratios(rows):
        if not peer.startswith("bare-"):
            groups[f"{row.name}  n={row.size:,}"][peer].append(ratio)
    figure = Figure(figsize=(9, 0.9 + 0.32 * sum(len(peers) + 1 for peers in groups.values())))
    axes = figure.add_subplot()
    position, ticks, labels = 0, [], []
    for title, peers in groups.items():
        axes.text(1.03, position, title, fontweight="bold", va="center")
        position += 1
        for peer, found in sorted(peers.items(), key=lambda each: geometric_mean(each[1])):
            mean = geometric_mean(found)
            axes.barh(position, mean, color="tab:blue" if mean >= 1 else "tab:red", height=0.7)
            shown = f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}"
            axes.text(mean * 1.06, position, shown, va="center", fontsize=8)
            ticks.append(position)
            labels.append(peer)
            position += 1
    axes.set_yticks(ticks, labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    found = [each for peers in groups.values() for some in peers.values() for each in some]
    axes.set_xlim(left=1 if min(found, default=1.0) >= 1 else None)
    axes.set_xlabel("times faster than the peer, in one run")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _promise(promised: float, ratio: float) -> str:
    return f"{promised:g}" if ratio >= promised else f"{promised:g}, missed"


def _ours(row: Row) -> str:
    if unit := row.extra.get("unit"):
        return f"{row.ours_s:,.4g} {unit}"
    per_s = row.extra.get("ours_per_s")
    return _seconds(row.ours_s) if per_s is None else f"{per_s:,.0f}/s"


def _seconds(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
