"""The asyncio client."""

from digitalgrid.client.asking_async import AsyncClient, awaited, streamed
from digitalgrid.client.calls import Connection, channel_options, who_asks
from digitalgrid.client.conversations import PowerConversations
from digitalgrid.client.defaults import DEFAULT_SERVER, DEFAULT_TIMEOUT_S


class AsyncPowerClient(AsyncClient[Connection, PowerConversations]):
    """Asks one controller for power from an asyncio loop; the calls are those of :class:`PowerClient`."""

    def __init__(self, server: str = DEFAULT_SERVER, *, timeout_s: float = DEFAULT_TIMEOUT_S):
        super().__init__(server, timeout_s, Connection, channel_options, who_asks())
        self._talk = PowerConversations(self._servers, timeout_s)

    request_power = awaited(PowerConversations.request_power)
    batch_request_power = awaited(PowerConversations.batch_request_power)
    compute_power = awaited(PowerConversations.compute_power)
    compute_paths = awaited(PowerConversations.compute_paths)
    dispatch = awaited(PowerConversations.dispatch)
    reoptimise = awaited(PowerConversations.reoptimise)
    change_circuit = awaited(PowerConversations.change_circuit)
    release_circuit = awaited(PowerConversations.release_circuit)
    activate_circuit = awaited(PowerConversations.activate_circuit)
    get_circuit = awaited(PowerConversations.get_circuit)
    list_circuits = awaited(PowerConversations.list_circuits)
    list_registers = awaited(PowerConversations.list_registers)
    watch_circuits = streamed(PowerConversations.watch_circuits)
    wait_until_active = awaited(PowerConversations.wait_until_active)
    get_topology = awaited(PowerConversations.get_topology)
    watch_topology = streamed(PowerConversations.watch_topology)
    read_meters = awaited(PowerConversations.read_meters)
    reconcile = awaited(PowerConversations.reconcile)
    forget_router = awaited(PowerConversations.forget_router)
    drain = awaited(PowerConversations.drain)
    undrain = awaited(PowerConversations.undrain)
    place_routers = awaited(PowerConversations.place_routers)
    what_if = awaited(PowerConversations.what_if)
    watch_events = streamed(PowerConversations.watch_events)
    read_audit = awaited(PowerConversations.read_audit)
    wait_until_drained = awaited(PowerConversations.wait_until_drained)
