"""A client's replica of the topology, built from the changes that a watch tells."""

from collections.abc import Iterable
from typing import Any

from digitalgrid.v1 import northbound_pb2 as pb


class TopologyView:
    """One watch's view; :meth:`take` each of its answers in order."""

    def __init__(self) -> None:
        self._version = 0
        self._routers: dict[str, pb.RouterState] = {}
        self._links: dict[str, pb.LinkState] = {}
        self._sources: dict[str, pb.SourceState] = {}
        self._loads: dict[str, pb.LoadState] = {}

    def take(self, answer: pb.WatchTopologyResponse) -> pb.Topology:
        """The whole view, once this is known; lists are in the order of ids."""
        topology = answer.topology
        self._version = topology.lsdb_version
        if not answer.partial:
            for kept in (self._routers, self._links, self._sources, self._loads):
                kept.clear()
        _take(self._routers, answer.removed_router_ids, topology.routers, "router_id")
        _take(self._links, answer.removed_link_ids, topology.links, "link_id")
        _take(self._sources, answer.removed_source_ids, topology.sources, "source_id")
        _take(self._loads, answer.removed_load_ids, topology.loads, "load_id")
        if not answer.partial:
            return topology
        return pb.Topology(
            lsdb_version=self._version,
            routers=[self._routers[each] for each in sorted(self._routers)],
            links=[self._links[each] for each in sorted(self._links)],
            sources=[self._sources[each] for each in sorted(self._sources)],
            loads=[self._loads[each] for each in sorted(self._loads)],
        )


def _take(kept: dict[str, Any], removed: Iterable[str], told: Iterable[Any], id_field: str) -> None:
    for id_ in removed:
        kept.pop(id_, None)
    for each in told:
        kept[getattr(each, id_field)] = each
