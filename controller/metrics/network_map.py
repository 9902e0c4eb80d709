"""The network as Grafana's node graph: a table of routers and one of links, in the columns that it goes by.

It knows columns by their own names, not by what a transformation renames them to: figures too are labels here, which
one turns into numbers again.
"""

from controller.metrics.panel import Answer, Query, of, over

# Of the map (pixels): what a router and its surroundings take, across; and the thickest link, beside the thinnest.
_ROUTER_PX, _THICKER_PX = 250, 7

_PLACES = over("max", of("dgc_router_coordinate"), "router, axis")
_AMPACITY_A = over("max", of("dgc_link_ampacity_amperes"), "link")
_SENT_A = over("max", of("dgc_link_reserved_amperes"), "link, router, to")
_UP = over("max", of("dgc_link_up"), "link")


def _label(name: str, figures: str, by: str) -> str:
    """A label with each series' figure; its value is then 1."""
    return f'count_values by ({by}) ("{name}", {figures})'


def _with(name: str, series: str, by: str, labelled: str) -> str:
    """``series`` with a label of another's, found by those labels that both have."""
    return f"{series} * on ({by}) group_left ({name}) {labelled}"


def _told(series: str, name: str, text: str, label: str, matches: str = "(.*)") -> str:
    return f'label_replace({series}, "{name}", "{text}", "{label}", "{matches}")'


def _edges() -> str:
    # One of the two directions of each link, also where they have the same.
    most_a = f"topk by (link) (1, {_SENT_A})"
    thickness = f"round(1 + {_THICKER_PX} * {most_a} / scalar(clamp_min(max({_SENT_A}), 1)))"
    percent = f"round(100 * {over('max', _SENT_A, 'link')} / {_AMPACITY_A})"
    edges = _label("thickness", thickness, "link, router, to")
    edges = _with("percent", edges, "link", _label("percent", percent, "link"))
    edges = _with("up", edges, "link", _label("up", _UP, "link"))
    edges = _told(edges, "id", "$1", "link")
    edges = _told(edges, "source", "$1", "router")
    edges = _told(edges, "target", "$1", "to")
    edges = _told(edges, "mainstat", "$1 %", "percent")
    return _told(edges, "color", "red", "up", "0")


def _nodes() -> str:
    shares = f"{_SENT_A} / on (link) group_left () {_AMPACITY_A}"
    nodes = _label("percent", f"round(100 * {over('max', shares, 'router')})", "router")
    nodes = _told(nodes, "id", "$1", "router")
    nodes = _told(nodes, "title", "$1", "router")
    nodes = _told(nodes, "mainstat", "$1 %", "percent")
    placed = _with("fixedX", nodes, "router", _label("fixedX", _pixels("x"), "router"))
    placed = _with("fixedY", placed, "router", _label("fixedY", _pixels("y"), "router"))
    return f"{placed} or on (router) {nodes}"


def _pixels(axis: str) -> str:
    """Of places in whatever unit they are; north is up, where the graph counts downwards."""
    at = over("max", of("dgc_router_coordinate", f'axis="{axis}"'), "router")
    beside = f"({at} - scalar(min({at})))" if axis == "x" else f"(scalar(max({at})) - {at})"
    extents = f"{over('max', _PLACES, 'axis')} - {over('min', _PLACES, 'axis')}"
    across_px = f"scalar({_ROUTER_PX} * sqrt(count({at})))"
    return f"round({across_px} * {beside} / scalar(clamp_min(max({extents}), 1e-9)))"


NODES = Query(_nodes(), answer=Answer.TABLE, name="nodes")
EDGES = Query(_edges(), answer=Answer.TABLE, name="edges")
# Columns of figures; labels are texts.
FIGURES = ("fixedX", "fixedY", "thickness")
