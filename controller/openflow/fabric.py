"""The control network as one switch: pure logic, from events to effects.

Ports are found to be trunks or edges by probes (LLDP of our own). Hosts are learned on edge ports
only, and flows to them are laid along shortest paths on all switches before anybody needs them.
Broadcasts travel through the controller, from edge to edge, and never over a trunk by themselves:
whatever the topology, nothing can loop.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from controller.openflow import flows
from controller.openflow.flows import Action, AddFlow, Effect, Match, Verdict
from controller.openflow.frames import (
    Arp,
    Ethernet,
    PortId,
    arp_frame,
    parse_arp,
    parse_ethernet,
    parse_probe,
    probe_frame,
)
from controller.openflow.hosts import Host, HostTable
from controller.openflow.paths import Trunks, ports_towards, two_way_trunks
from controller.openflow.ports import FabricTimers, Port, PortEvent, PortState
from controller.tallies import ControlNetwork

# What strangers can add to.
MAX_PORTS_PER_SWITCH = 1024
# Floods that are remembered for a second to betray loops; each is a frame of up to 1.5 KB.
MAX_RECENT_FLOODS = 1024


@dataclass(frozen=True, slots=True)
class SwitchUp:
    """A switch connected, with its ports that are up. What it was told before it goes on with, for a while."""

    dpid: int
    ports_up: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SwitchDown:
    dpid: int


@dataclass(frozen=True, slots=True)
class PortUp:
    port: PortId


@dataclass(frozen=True, slots=True)
class PortDown:
    port: PortId


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A switch handed a frame to the controller."""

    port: PortId
    frame: bytes


Event = SwitchUp | SwitchDown | PortUp | PortDown | FrameReceived


@dataclass(slots=True)
class FabricCounters:
    frames_to_controller: int = 0
    hosts_learned: int = 0
    arp_answered: int = 0
    floods: int = 0
    echoes: int = 0
    # What there was no room for.
    hosts_refused: int = 0
    floods_refused: int = 0
    ports_refused: int = 0
    # What switches were told to do with frames.
    flow_mods: int = 0


@dataclass(frozen=True, slots=True)
class FabricSnapshot:
    """What the fabric knows; ``trunks`` holds both directions."""

    switches: frozenset[int]
    ports: dict[PortId, PortState]
    trunks: Trunks
    hosts: dict[bytes, Host]
    counters: FabricCounters


class Fabric:
    """A sans-I/O OpenFlow control application: tell it each event, and call :meth:`expire` at
    :meth:`next_deadline_ns`; apply the effects that it returns.

    ``cookie`` (8 bytes) tells this controller's probes from others'. Times are nanoseconds of one
    monotonic clock.
    """

    def __init__(self, cookie: bytes, timers: FabricTimers | None = None) -> None:
        self.cookie = cookie
        self.timers = timers or FabricTimers()
        self._ports: dict[int, dict[int, Port]] = {}
        self._heard: dict[PortId, PortId] = {}
        self._trunks: Trunks = {}
        self._towards: dict[int, dict[int, int]] = {}
        self._hosts = HostTable()
        self._installed: dict[int, dict[Match, Action]] = {}
        # Until when switches go on with flows that they had before.
        self._others_flows_ns: dict[int, int] = {}
        self._recent_floods: dict[bytes, tuple[PortId, int]] = {}
        self._effects: list[Effect] = []
        self._counts = FabricCounters()

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        match event:
            case SwitchUp(dpid, ports_up):
                self._switch_down(dpid)
                self._switch_up(dpid, ports_up, now_ns)
            case SwitchDown(dpid):
                self._switch_down(dpid)
            case PortUp(port):
                if port.dpid in self._ports and port.port not in self._ports[port.dpid]:
                    self._open_port(port, now_ns)
            case PortDown(port):
                self._close_port(port)
            case FrameReceived(port, frame):
                self._frame_received(port, frame, now_ns)
        return self._take_effects()

    def expire(self, now_ns: int) -> list[Effect]:
        """Send the probes that are due and move ports whose time has come."""
        for dpid, ports in self._ports.items():
            for number, port in ports.items():
                here = PortId(dpid, number)
                if port.expires_ns is not None and port.expires_ns <= now_ns:
                    self._expire_port(here, port, now_ns)
                if port.next_probe_ns <= now_ns:
                    self._probe(here, port, now_ns)
        for dpid in [d for d, until_ns in self._others_flows_ns.items() if until_ns <= now_ns]:
            del self._others_flows_ns[dpid]
            self._effects.append(flows.RemoveOthersFlows(dpid))
        for frame in [f for f, (_, until_ns) in self._recent_floods.items() if until_ns <= now_ns]:
            del self._recent_floods[frame]
        return self._take_effects()

    def next_deadline_ns(self) -> int | None:
        """When :meth:`expire` has something to do; None while there are no ports."""
        every_port = [port for ports in self._ports.values() for port in ports.values()]
        deadlines = [port.next_probe_ns for port in every_port]
        deadlines += self._others_flows_ns.values()
        deadlines += [port.expires_ns for port in every_port if port.expires_ns is not None]
        return min(deadlines, default=None)

    @property
    def size(self) -> ControlNetwork:
        """From any thread: of tables their length, and trunks are never changed, but made anew."""
        ends = sum(map(len, self._trunks.values()))
        return ControlNetwork(len(self._ports), ends // 2, len(self._hosts))

    @property
    def traffic(self) -> tuple[int, int]:
        """From any thread: frames that came to the controller, and flows that switches were told."""
        return self._counts.frames_to_controller, self._counts.flow_mods

    def snapshot(self) -> FabricSnapshot:
        states = {
            PortId(dpid, number): port.state
            for dpid, ports in self._ports.items()
            for number, port in ports.items()
        }
        return FabricSnapshot(
            frozenset(self._ports),
            states,
            dict(self._trunks),
            self._hosts.all(),
            replace(self._counts),
        )

    # Switches and ports

    def _switch_up(self, dpid: int, ports_up: Iterable[int], now_ns: int) -> None:
        self._ports[dpid] = {}
        self._installed[dpid] = {}
        self._others_flows_ns[dpid] = now_ns + self.timers.others_flows_ns
        self._set_flow(dpid, flows.PROBES_TO_CONTROLLER, Verdict.TO_CONTROLLER)
        self._set_flow(dpid, flows.UNKNOWN_DESTINATION, Verdict.TO_CONTROLLER)
        for number in ports_up:
            self._open_port(PortId(dpid, number), now_ns)
        self._recompute_paths()

    def _switch_down(self, dpid: int) -> None:
        for number in self._ports.pop(dpid, {}):
            self._heard.pop(PortId(dpid, number), None)
        self._installed.pop(dpid, None)
        self._others_flows_ns.pop(dpid, None)
        self._forget_hosts(mac for mac, host in self._hosts.all().items() if host.port.dpid == dpid)
        self._recompute_paths()

    def _open_port(self, here: PortId, now_ns: int) -> None:
        if len(self._ports[here.dpid]) >= MAX_PORTS_PER_SWITCH:
            self._counts.ports_refused += 1
            return
        edge_at_ns = now_ns + self.timers.edge_after_ns
        port = self._ports[here.dpid][here.port] = Port(PortState.PROBING, now_ns, edge_at_ns)
        self._probe(here, port, now_ns)

    def _close_port(self, here: PortId) -> None:
        port = self._ports.get(here.dpid, {}).pop(here.port, None)
        if port is not None:
            self._withdraw_port_flows(here)
            if self._heard.pop(here, None) is not None:
                self._recompute_paths()

    def _expire_port(self, here: PortId, port: Port, now_ns: int) -> None:
        if port.state is PortState.PROBING:
            port.apply(PortEvent.QUIET)
            port.expires_ns = None
            port.next_probe_ns = now_ns + self.timers.edge_probe_interval_ns
            self._set_flow(here.dpid, flows.learn_on_edge(here.port), Verdict.TO_CONTROLLER)
        else:
            self._withdraw_port_flows(here)
            port.apply(PortEvent.QUIET)
            port.expires_ns = None
            del self._heard[here]
            self._recompute_paths()

    def _probe(self, here: PortId, port: Port, now_ns: int) -> None:
        match port.state:
            case PortState.EDGE:
                interval_ns = self.timers.edge_probe_interval_ns
            case PortState.PROBING if port.expires_ns is not None:
                interval_ns = self.timers.probe_interval_ns
            case _:
                interval_ns = self.timers.trunk_probe_interval_ns
        port.next_probe_ns = now_ns + interval_ns
        probe = probe_frame(here, self.cookie)
        self._effects.append(flows.SendFrame(here.dpid, (here.port,), probe))

    def _probe_heard(self, here: PortId, port: Port, there: PortId, now_ns: int) -> None:
        if port.state is not PortState.TRUNK:
            self._withdraw_port_flows(here)
            port.apply(PortEvent.HEARD)
            self._set_flow(here.dpid, flows.admit_trunk(here.port), Verdict.TO_FORWARDING)
            self._set_flow(here.dpid, flows.unknown_from_trunk(here.port), Verdict.DROP)
        port.expires_ns = now_ns + self.timers.trunk_lost_after_ns
        if self._heard.get(here) != there:
            self._heard[here] = there
            self._recompute_paths()
            # The other end may wait for ours: let it know before it takes itself for an edge.
            self._probe(here, port, now_ns)

    # Frames

    def _frame_received(self, here: PortId, frame: bytes, now_ns: int) -> None:
        self._counts.frames_to_controller += 1
        port = self._ports.get(here.dpid, {}).get(here.port)
        ethernet = parse_ethernet(frame)
        if port is None or ethernet is None:
            return
        there = parse_probe(ethernet, self.cookie)
        if there is not None:
            self._probe_heard(here, port, there, now_ns)
        elif port.state is PortState.EDGE and not ethernet.source[0] & 1:
            if self._is_echo(here, frame, now_ns):
                self._counts.echoes += 1
                self._close_port(here)
                self._open_port(here, now_ns)
                return
            arp = parse_arp(ethernet)
            if self._learn(ethernet.source, here, arp):
                self._deliver(here, ethernet, arp, frame, now_ns)

    def _is_echo(self, here: PortId, frame: bytes, now_ns: int) -> bool:
        origin, until_ns = self._recent_floods.get(frame, (here, now_ns))
        return origin != here and now_ns < until_ns

    def _learn(self, mac: bytes, here: PortId, arp: Arp | None) -> bool:
        """Whether the host is known now; where there is no room for it, it does not take part."""
        known = self._hosts.get(mac)
        ip = known.ip if known is not None else None
        if arp is not None and arp.sender_mac == mac and any(arp.sender_ip):
            ip = arp.sender_ip
        host = Host(here, ip)
        if host == known:
            return True
        if known is None or known.port != here:
            if not self._hosts.has_room(here):
                self._counts.hosts_refused += 1
                return False
            if known is not None:
                self._forget_hosts([mac])
            self._counts.hosts_learned += 1
        self._hosts.put(mac, host)
        self._publish_host(mac, host)
        return True

    def _deliver(
        self, here: PortId, ethernet: Ethernet, arp: Arp | None, frame: bytes, now_ns: int
    ) -> None:
        if arp is not None and arp.is_request:
            owner = self._hosts.at_ip(arp.target_ip)
            if owner is not None and owner != ethernet.source:
                self._answer_arp(here, arp, owner)
                return
        towards_it = flows.towards_host(ethernet.destination)
        if towards_it in self._installed[here.dpid]:
            # The flow is on its way to the switch; this frame need not wait for it.
            to = self._hosts.port_of(ethernet.destination)
            if to != here:
                self._effects.append(flows.SendFrame(to.dpid, (to.port,), frame))
            return
        # An answer is not heard of where a flow from before carries it.
        if not ethernet.is_group and not self._others_flows_ns:
            # One question is enough: until somebody answers, the switch drops the rest by itself.
            self._effects.append(AddFlow(here.dpid, towards_it, Verdict.DROP, lifetime_s=1))
        if ethernet.destination not in self._hosts:
            self._flood(here, frame, now_ns)

    def _answer_arp(self, here: PortId, request: Arp, owner: bytes) -> None:
        self._counts.arp_answered += 1
        reply = arp_frame(
            is_request=False,
            sender_mac=owner,
            sender_ip=request.target_ip,
            target_mac=request.sender_mac,
            target_ip=request.sender_ip,
        )
        self._effects.append(flows.SendFrame(here.dpid, (here.port,), reply))

    def _flood(self, origin: PortId, frame: bytes, now_ns: int) -> None:
        if frame not in self._recent_floods and len(self._recent_floods) >= MAX_RECENT_FLOODS:
            self._counts.floods_refused += 1
            return
        self._counts.floods += 1
        self._recent_floods[frame] = (origin, now_ns + self.timers.echo_window_ns)
        for dpid, ports in self._ports.items():
            edges = tuple(
                number
                for number, port in ports.items()
                if port.state is PortState.EDGE and PortId(dpid, number) != origin
            )
            if edges:
                self._effects.append(flows.SendFrame(dpid, edges, frame))

    # Flows

    def _recompute_paths(self) -> None:
        trunks = two_way_trunks(self._heard)
        if trunks == self._trunks and self._towards.keys() == self._ports.keys():
            return
        self._trunks = trunks
        self._towards = {dpid: ports_towards(dpid, trunks) for dpid in self._ports}
        for mac, host in self._hosts.all().items():
            self._publish_host(mac, host)

    def _publish_host(self, mac: bytes, host: Host) -> None:
        here = host.port
        self._set_flow(here.dpid, flows.admit_host(here.port, mac), Verdict.TO_FORWARDING)
        towards = self._towards.get(here.dpid, {})
        for dpid in self._ports:
            out_port = here.port if dpid == here.dpid else towards.get(dpid)
            self._set_flow(dpid, flows.towards_host(mac), out_port)

    def _forget_hosts(self, macs: Iterable[bytes]) -> None:
        for mac in list(macs):
            host = self._hosts.pop(mac)
            self._set_flow(host.port.dpid, flows.admit_host(host.port.port, mac), None)
            for dpid in self._ports:
                self._set_flow(dpid, flows.towards_host(mac), None)

    def _withdraw_port_flows(self, here: PortId) -> None:
        self._forget_hosts(mac for mac, host in self._hosts.all().items() if host.port == here)
        for match in (
            flows.admit_trunk(here.port),
            flows.unknown_from_trunk(here.port),
            flows.learn_on_edge(here.port),
        ):
            self._set_flow(here.dpid, match, None)

    def _set_flow(self, dpid: int, match: Match, action: Action | None) -> None:
        """Only what differs from what the switch has is sent to it."""
        installed = self._installed.get(dpid)
        if installed is None or installed.get(match) == action:
            return
        if action is None:
            del installed[match]
            self._effects.append(flows.RemoveFlow(dpid, match))
        else:
            installed[match] = action
            self._effects.append(AddFlow(dpid, match, action))

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        self._counts.flow_mods += sum(not isinstance(each, flows.SendFrame) for each in effects)
        return effects
