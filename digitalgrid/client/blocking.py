"""The blocking client."""

from digitalgrid.client.asking import BlockingClient, asked, streamed
from digitalgrid.client.calls import Connection, channel_options, who_asks
from digitalgrid.client.conversations import PowerConversations
from digitalgrid.client.defaults import DEFAULT_SERVER, DEFAULT_TIMEOUT_S


class PowerClient(BlockingClient[Connection, PowerConversations]):
    """Asks for power. Every call raises PowerError, within ``timeout_s`` of silence.

    ``server`` is host:port; several of a cluster stand with commas between. Calls go to whoever leads.

    ::

        with PowerClient() as client:
            circuits = client.request_power(power_request("load3", 2e6)).circuits
    """

    def __init__(self, server: str = DEFAULT_SERVER, *, timeout_s: float = DEFAULT_TIMEOUT_S):
        super().__init__(server, timeout_s, Connection, channel_options, who_asks())
        self._talk = PowerConversations(self._servers, timeout_s)

    request_power = asked(PowerConversations.request_power)
    batch_request_power = asked(PowerConversations.batch_request_power)
    compute_power = asked(PowerConversations.compute_power)
    compute_paths = asked(PowerConversations.compute_paths)
    dispatch = asked(PowerConversations.dispatch)
    reoptimise = asked(PowerConversations.reoptimise)
    change_circuit = asked(PowerConversations.change_circuit)
    release_circuit = asked(PowerConversations.release_circuit)
    activate_circuit = asked(PowerConversations.activate_circuit)
    get_circuit = asked(PowerConversations.get_circuit)
    list_circuits = asked(PowerConversations.list_circuits)
    list_registers = asked(PowerConversations.list_registers)
    watch_circuits = streamed(PowerConversations.watch_circuits)
    wait_until_active = asked(PowerConversations.wait_until_active)
    get_topology = asked(PowerConversations.get_topology)
    watch_topology = streamed(PowerConversations.watch_topology)
    read_meters = asked(PowerConversations.read_meters)
    reconcile = asked(PowerConversations.reconcile)
    forget_router = asked(PowerConversations.forget_router)
    drain = asked(PowerConversations.drain)
    undrain = asked(PowerConversations.undrain)
    place_routers = asked(PowerConversations.place_routers)
    what_if = asked(PowerConversations.what_if)
    watch_events = streamed(PowerConversations.watch_events)
    read_audit = asked(PowerConversations.read_audit)
    wait_until_drained = asked(PowerConversations.wait_until_drained)
