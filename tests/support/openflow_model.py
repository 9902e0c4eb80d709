"""A network of OpenFlow switches in memory, run by a real fabric: what a test plays with instead of Open vSwitch."""

from collections import deque
from dataclasses import dataclass, field

from controller.openflow.fabric import (
    Event,
    Fabric,
    FrameReceived,
    PortDown,
    PortUp,
    SwitchDown,
    SwitchUp,
)
from controller.openflow.flows import (
    ADMISSION_TABLE,
    FORWARDING_TABLE,
    Action,
    AddFlow,
    Effect,
    Match,
    RemoveFlow,
    RemoveOthersFlows,
    SendFrame,
    Verdict,
)
from controller.openflow.frames import ETH_TYPE_ARP, PortId, arp_frame, parse_ethernet

# No frame of a network of this size needs so many transmissions: it loops.
MAX_TRANSMISSIONS = 5000
# Later frames of a host differ from earlier ones.
_BODY = b"payload".ljust(46, b"\0")


def mac(index: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, index])


def ip(index: int) -> bytes:
    return bytes([10, 0, 0, index])


def unicast(source: int, destination: int) -> bytes:
    return mac(destination) + mac(source) + b"\x08\x00" + _BODY


def who_has(asker: int, wanted: int) -> bytes:
    return arp_frame(
        is_request=True,
        sender_mac=mac(asker),
        sender_ip=ip(asker),
        target_mac=bytes(6),
        target_ip=ip(wanted),
    )


@dataclass
class ModelSwitch:
    """Two tables of flows; a frame takes the flow of the highest priority in each."""

    ports_up: set[int]
    flows: dict[Match, Action] = field(default_factory=dict)
    connected: bool = False
    # How often it has connected, and at which time it was told each flow.
    connections: int = 0
    told_at: dict[Match, int] = field(default_factory=dict)

    def verdict(self, in_port: int, frame: bytes) -> Action:
        action = self._look_up(ADMISSION_TABLE, in_port, frame)
        if action is Verdict.TO_FORWARDING:
            action = self._look_up(FORWARDING_TABLE, in_port, frame)
        return action

    def _look_up(self, table: int, in_port: int, frame: bytes) -> Action:
        ethernet = parse_ethernet(frame)
        assert ethernet is not None
        hits = [
            match
            for match in self.flows
            if match.table == table
            and match.in_port in (None, in_port)
            and match.source in (None, ethernet.source)
            and match.destination in (None, ethernet.destination)
            and match.eth_type in (None, ethernet.eth_type)
        ]
        if not hits:
            return Verdict.DROP
        highest = max(match.priority for match in hits)
        (best,) = [match for match in hits if match.priority == highest]
        return self.flows[best]


class ModelNetwork:
    """Switches, the wires between their ports, and hosts on ports, all at one moment in time."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.now_ns = 0
        self.switches: dict[int, ModelSwitch] = {}
        self.wires: dict[PortId, PortId] = {}
        self.silent: set[PortId] = set()
        self.hosts: dict[int, PortId] = {}
        self.to_controller = 0
        self.received: list[tuple[int, bytes]] = []
        self._moving: deque[tuple[PortId, bytes]] = deque()
        self._transmissions = 0

    def add_switch(self, dpid: int) -> None:
        self.switches[dpid] = ModelSwitch(set())

    def add_wire(self, a: int, b: int) -> tuple[PortId, PortId]:
        ends = self._new_port(a), self._new_port(b)
        self.wires[ends[0]], self.wires[ends[1]] = ends[1], ends[0]
        return ends

    def add_host(self, host: int, dpid: int) -> None:
        self.hosts[host] = self._new_port(dpid)

    def connect(self, dpid: int) -> None:
        """The switch finds the controller."""
        switch = self.switches[dpid]
        switch.connected = True
        switch.connections += 1
        self.tell(SwitchUp(dpid, tuple(sorted(switch.ports_up))))

    def disconnect(self, dpid: int) -> None:
        """The switch loses the controller; its flows stay."""
        self.switches[dpid].connected = False
        self.tell(SwitchDown(dpid))

    def set_carrier(self, port: PortId, up: bool) -> None:
        switch = self.switches[port.dpid]
        (switch.ports_up.add if up else switch.ports_up.discard)(port.port)
        if switch.connected:
            self.tell(PortUp(port) if up else PortDown(port))

    def cut(self, end: PortId) -> None:
        for port in (end, self.wires[end]):
            self.set_carrier(port, up=False)

    def restore(self, end: PortId) -> None:
        for port in (end, self.wires[end]):
            self.set_carrier(port, up=True)

    def run_for(self, duration_ns: int) -> None:
        """Let time pass, with the fabric's deadlines in it."""
        end_ns = self.now_ns + duration_ns
        while True:
            deadline_ns = self.fabric.next_deadline_ns()
            if deadline_ns is None or deadline_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, deadline_ns)
            self._apply(self.fabric.expire(self.now_ns))
            self._settle()
        self.now_ns = end_ns

    def send(self, host: int, frame: bytes) -> list[tuple[int, bytes]]:
        """A host sends; returns who received what because of it."""
        self.received = []
        self._moving.append((self.hosts[host], frame))
        self._settle()
        return self.received

    def tell(self, event: Event) -> None:
        self._apply(self.fabric.handle(event, self.now_ns))
        self._settle()

    def _new_port(self, dpid: int) -> PortId:
        taken = [p.port for p in (*self.wires, *self.hosts.values()) if p.dpid == dpid]
        port = PortId(dpid, max(taken, default=0) + 1)
        self.switches[dpid].ports_up.add(port.port)
        return port

    def _settle(self) -> None:
        self._transmissions = 0
        while self._moving:
            self._transmissions += 1
            assert self._transmissions < MAX_TRANSMISSIONS, "a frame loops"
            port, frame = self._moving.popleft()
            self._arrive(port, frame)

    def _arrive(self, port: PortId, frame: bytes) -> None:
        switch = self.switches[port.dpid]
        if port.port not in switch.ports_up:
            return
        action = switch.verdict(port.port, frame)
        if action is Verdict.TO_CONTROLLER:
            if switch.connected:
                self.to_controller += 1
                self._apply(self.fabric.handle(FrameReceived(port, frame), self.now_ns))
        elif isinstance(action, int) and action != port.port:
            self._leave(PortId(port.dpid, action), frame)

    def _leave(self, port: PortId, frame: bytes) -> None:
        if port.port not in self.switches[port.dpid].ports_up or port in self.silent:
            return
        if port in self.wires:
            self._moving.append((self.wires[port], frame))
        # A link layer of its own: hosts are not given the switches' probes.
        elif frame[12:14] != b"\x88\xcc":
            for host, at in self.hosts.items():
                if at == port:
                    self.received.append((host, frame))

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            switch = self.switches[effect.dpid]
            if not switch.connected:
                continue
            match effect:
                case RemoveOthersFlows():
                    for flow, at in list(switch.told_at.items()):
                        if at != switch.connections:
                            del switch.flows[flow], switch.told_at[flow]
                case AddFlow(_, flow, action):
                    switch.flows[flow], switch.told_at[flow] = action, switch.connections
                case RemoveFlow(_, flow):
                    del switch.flows[flow], switch.told_at[flow]
                case SendFrame(_, ports, frame):
                    for number in ports:
                        self._leave(PortId(effect.dpid, number), frame)


def is_arp(frame: bytes) -> bool:
    return int.from_bytes(frame[12:14]) == ETH_TYPE_ARP
