"""Metrics of each link by itself, for those who ask for that detail: four series a link, two a router with a place."""

from collections.abc import Callable

from controller.core.network.link import LinkState
from controller.core.questions import Questions
from controller.metrics.reference import METRICS, PREFIX
from digitalgrid.metrics.families import Families, Family

# How long (s) what was told is told again: of 2,000 links it takes the loop some milliseconds.
FRESH_S = 5.0


class LinkDetail:
    """What is told of links, made anew every few seconds."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._made_s = -FRESH_S
        self._told: list[Family] = []
        # Its lines begin with ids, which are other ones when links and routers come and go.
        self._families = Families(PREFIX, METRICS)
        self._of: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()

    def collect(self, known: Questions) -> list[Family]:
        now_s = self._clock_s()
        if now_s - self._made_s >= FRESH_S:
            self._told, self._made_s = self._make(known), now_s
        return self._told

    def _make(self, known: Questions) -> list[Family]:
        links, routers = known.view.links, known.view.routers
        of = frozenset(links), frozenset(routers)
        if of != self._of:
            self._of, self._families = of, Families(PREFIX, METRICS)
        up = [((link_id,), each.state is LinkState.UP) for link_id, each in links.items()]
        ampacities_a = [((link_id,), each.ampacity_a) for link_id, each in links.items()]
        reserved_a = [
            ((link_id, end, each.far_end(end)), known.reserved_on_link_a(link_id, end))
            for link_id, each in links.items()
            for end in (each.a, each.b)
        ]
        coordinates = [
            ((router_id, axis), figure)
            for router_id, each in routers.items()
            if each.at is not None
            for axis, figure in zip("xy", each.at, strict=True)
        ]
        families = self._families
        return [
            families.of("link_up", up),
            families.of("link_ampacity_amperes", ampacities_a),
            families.of("link_reserved_amperes", reserved_a),
            families.of("router_coordinate", coordinates),
        ]
