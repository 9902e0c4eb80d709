"""Grafana's dashboard of the metrics: ``python -m controller.metrics.dashboard`` prints the file that is shipped."""

import json
from collections.abc import Iterator

from controller.metrics.network_map import FIGURES
from controller.metrics.panel import Answer, Drawn, Panel, Query
from controller.metrics.panels import ANNOTATIONS, ROWS, Annotation

# Of the page, which Grafana divides into 24 columns: each panel's width and height.
_COLUMNS = 24
_SIZES = {
    Drawn.FIGURE: (3, 4),
    Drawn.SERIES: (12, 8),
    Drawn.HEAT: (12, 8),
    Drawn.GRAPH: (_COLUMNS, 16),
}
_SOURCE = {"type": "prometheus", "uid": "${source}"}
Json = dict[str, object]
# In a table of Prometheus all labels are texts.
_FIGURES_OF_LABELS: Json = {
    "id": "convertFieldType",
    "options": {
        "conversions": [{"targetField": each, "destinationType": "number"} for each in FIGURES],
        "fields": {},
    },
}


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
        x, y, tallest = 0, top + 1, 0
        for panel in row.panels:
            width, height = _SIZES[panel.drawn]
            if x + width > _COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            yield {**_panel(panel), "gridPos": {"x": x, "y": y, "w": width, "h": height}}
            x, tallest = x + width, max(tallest, height)
        top = y + tallest


def _panel(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "text", "value": None}]
    steps += [{"color": "orange", "value": each} for each in panel.lines]
    if panel.alarm_from is not None:
        steps.append({"color": "red", "value": panel.alarm_from})
    defaults: Json = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.drawn is Drawn.SERIES:
        defaults["custom"] = {
            "fillOpacity": 25 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if panel.lines else "off"},
        }
    return {
        "type": panel.drawn.value,
        "title": panel.title,
        "description": panel.what,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        "transformations": [_FIGURES_OF_LABELS] if panel.drawn is Drawn.GRAPH else [],
        "targets": [_target(index, query) for index, query in enumerate(panel.queries)],
    }


def _options(panel: Panel) -> Json:
    if panel.drawn is Drawn.FIGURE:
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    if panel.drawn is Drawn.SERIES:
        return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
    if panel.drawn is Drawn.GRAPH:
        return {"nodes": {}, "edges": {}}
    return {
        # Each series is a row already, named by its upper bound.
        "calculate": False,
        "rowsFrame": {"layout": "le"},
        "yAxis": {"axisPlacement": "left", "unit": panel.unit},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
            "fill": "dark-orange",
        },
        # Not what is 0.
        "filterValues": {"le": 1e-9},
        "cellGap": 1,
        "showValue": "auto",
        "tooltip": {"mode": "single", "yHistogram": False},
        "legend": {"show": True},
        "exemplars": {"color": "orange"},
    }


def _target(index: int, query: Query) -> Json:
    # A table is of now; of a time it would have a line each instant.
    instant = query.answer is Answer.TABLE
    return {
        "refId": query.name or chr(ord("A") + index),
        "datasource": _SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
        "format": query.answer.value,
        "instant": instant,
        "range": not instant,
    }


def _choices() -> Iterator[Json]:
    """What is chosen at the head: the source of the figures, jobs of controllers, controllers, and jobs of routers."""
    yield {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    chosen = (
        ("job", "Job", "dgc_build_info", "job"),
        ("instance", "Controller", 'dgc_build_info{job=~"$job"}', "instance"),
        ("routers", "Routers' job", "dgr_build_info", "job"),
    )
    for name, label, series, of in chosen:
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": f"label_values({series}, {of})", "refId": name},
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
