"""Whether a network has two paths for a circuit that do not fail together: every path is tried beside every other.

It shares nothing with the controller's searches but the words, and is for small networks, and circuits without
constraints of their own. Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from digitalgrid.v1 import northbound_pb2 as pb


@dataclass(frozen=True, slots=True)
class _Path:
    """Routers from the source to the load, and the lines between them."""

    router_ids: tuple[str, ...]
    links: tuple[pb.LinkState, ...] = ()

    @property
    def link_ids(self) -> set[str]:
        return {link.link_id for link in self.links}

    @property
    def risk_groups(self) -> set[str]:
        return {group for link in self.links for group in link.risk_groups}


@dataclass
class Pairs:
    """On one view of a network. Circuits that are alike have one answer."""

    topology: pb.Topology
    _known: dict[tuple[object, ...], bool] = field(default_factory=dict)

    def has_pair(self, circuit: pb.Circuit) -> bool:
        """Whether two paths have room for its power beside what others hold firmly."""
        roomy = self._lines_with_room(circuit)
        starts = sorted(self._routers_with_a_source(circuit))
        sink = next(
            (each.router_id for each in self.topology.loads if each.load_id == circuit.sink_id), ""
        )
        key = (tuple(sorted(roomy)), tuple(starts), sink, circuit.protect)
        if key not in self._known:
            paths = [path for start in starts for path in _paths(start, sink, roomy.values())]
            self._known[key] = any(
                not _fail_together(*two, circuit.protect) for two in combinations(paths, 2)
            )
        return self._known[key]

    def _routers_with_a_source(self, circuit: pb.Circuit) -> set[str]:
        usable = {each.router_id for each in self.topology.routers if _is_usable(each)}
        named = set(circuit.source_ids)
        return {
            source.router_id
            for source in self.topology.sources
            if source.router_id in usable and (not named or source.source_id in named)
        }

    def _lines_with_room(self, circuit: pb.Circuit) -> dict[str, pb.LinkState]:
        usable = {each.router_id for each in self.topology.routers if _is_usable(each)}
        own_a = {link.link_id: link.current_a for link in circuit.links}
        if circuit.HasField("standby") and circuit.standby.dedicated:
            own_a |= {link.link_id: link.current_a for link in circuit.standby.links}
        return {
            link.link_id: link
            for link in self.topology.links
            if link.up
            and link.admin.state == pb.ADMIN_STATE_UNSPECIFIED
            and {link.a_router_id, link.b_router_id} <= usable
            and _firm_a(link) - own_a.get(link.link_id, 0.0) + circuit.power_w / link.voltage_v
            <= link.ampacity_a
        }


def _is_usable(router: pb.RouterState) -> bool:
    return router.connected and router.admin.state == pb.ADMIN_STATE_UNSPECIFIED


def _firm_a(link: pb.LinkState) -> float:
    """What is held whatever fails: pools are for whoever needs them."""
    reserved_a = link.reserved_a_to_b_a + link.reserved_b_to_a_a
    return reserved_a - link.pool_a_to_b_a - link.pool_b_to_a_a


def _paths(start: str, sink: str, links: Collection[pb.LinkState]) -> Iterator[_Path]:
    """All that visit no router twice (depth first)."""
    at: defaultdict[str, list[tuple[str, pb.LinkState]]] = defaultdict(list)
    for link in links:
        at[link.a_router_id].append((link.b_router_id, link))
        at[link.b_router_id].append((link.a_router_id, link))
    open_ends = [_Path((start,))]
    while open_ends:
        path = open_ends.pop()
        if path.router_ids[-1] == sink:
            yield path
            continue
        open_ends += [
            _Path((*path.router_ids, router_id), (*path.links, link))
            for router_id, link in at[path.router_ids[-1]]
            if router_id not in path.router_ids
        ]


def _fail_together(one: _Path, other: _Path, protect: "pb.Protect.ValueType") -> bool:
    """Whether something that is to be survived is on both: a line; routers before the sink, but for a first that both
    begin at; or risk groups.
    """
    if one.link_ids & other.link_ids:
        return True
    if protect == pb.PROTECT_ROUTER:
        same_start = one.router_ids[0] == other.router_ids[0]
        first = 1 if same_start else 0
        return bool({*one.router_ids[first:-1]} & {*other.router_ids[first:-1]})
    return protect == pb.PROTECT_RISK and bool(one.risk_groups & other.risk_groups)
