"""Grafana's dashboard of the metrics: ``python -m controller.metrics.dashboard`` prints the file that is shipped."""

import json
from collections.abc import Iterator

from controller.metrics.panels import ANNOTATIONS, ROWS, Annotation, Panel, Row

# Of the page, which Grafana divides into 24 columns: a figure's width and height, and a time series'.
_COLUMNS = 24
_FIGURE, _SERIES = (4, 4), (12, 8)
_SOURCE = {"type": "prometheus", "uid": "${source}"}
Json = dict[str, object]


def dashboard() -> Json:
    """As Grafana imports it."""
    return {
        "uid": "digital-grid-controller",
        "title": "Digital Grid Controller",
        "tags": ["digitalgrid", "power"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        # One cursor for all panels.
        "graphTooltip": 1,
        "templating": {"list": list(_choices())},
        "annotations": {"list": [_annotation(each) for each in ANNOTATIONS]},
        "panels": [{"id": number, **each} for number, each in enumerate(_placed(), 1)],
    }


def _placed() -> Iterator[Json]:
    """Rows below one another, their panels side by side as far as there is room."""
    top = 0
    for row in ROWS:
        yield {
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1},
            "panels": [],
        }
        width, height = _FIGURE if row.figures else _SERIES
        beside = _COLUMNS // width
        for index, panel in enumerate(row.panels):
            x, y = index % beside * width, top + 1 + index // beside * height
            yield {
                **_panel(row, panel),
                "gridPos": {"x": x, "y": y, "w": width, "h": height},
            }
        top += 1 + -(-len(row.panels) // beside) * height


def _panel(row: Row, panel: Panel) -> Json:
    steps: list[Json] = [{"color": "text", "value": None}]
    if panel.alarm_from is not None:
        steps.append({"color": "red", "value": panel.alarm_from})
    defaults: Json = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if not row.figures:
        defaults["custom"] = {
            "fillOpacity": 25 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    return {
        "type": "stat" if row.figures else "timeseries",
        "title": panel.title,
        "description": panel.what,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
        if row.figures
        else {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
            }
            for index, query in enumerate(panel.queries)
        ],
    }


def _choices() -> Iterator[Json]:
    """What is chosen at the head: the source of the figures, the job, and the controllers."""
    yield {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    chosen = (
        ("job", "Job", "dgc_build_info"),
        ("instance", "Controller", 'dgc_build_info{job=~"$job"}'),
    )
    for name, label, series in chosen:
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": f"label_values({series}, {name})", "refId": name},
            # Asked anew whenever the time that is shown changes.
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        }


def _annotation(mark: Annotation) -> Json:
    return {
        "name": mark.name,
        "enable": True,
        "iconColor": mark.colour,
        "datasource": _SOURCE,
        "expr": mark.expression,
        "titleFormat": mark.text,
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=1))  # noqa: T201
