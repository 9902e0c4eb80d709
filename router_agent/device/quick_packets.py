"""Short packet intervals: flows whose downstream hop primes get their energy every few milliseconds, not once a tick.

So that hop may play when it holds two short intervals instead of two ticks. Each such packet costs this router a turn
over all its flows and a frame: so few flows have it at a time, and a router with very many flows sends less often or
not at all; hops below then prime by ticks.
"""

from collections.abc import Sequence

from digitalgrid.units import NS_PER_MS
from router_agent.config import RouterConfig
from router_agent.device.flow import Flow

# Flows of one router at a time: those of a cut line, in two frames.
MOST_FLOWS = 64
# Interval that each flow of the router asks for: a turn takes up to 10 us a flow, which is a fifth of this.
INTERVAL_A_FLOW_NS = NS_PER_MS // 20


class QuickPackets:
    """Which flows are sent at short intervals, and when next."""

    def __init__(self, config: RouterConfig) -> None:
        self._prime_ns = config.prime_ns
        self._longest_ns = config.tick_ns // 2
        self.next_ns: int | None = None

    def choose(self, flows: Sequence[Flow], of: int, now_ns: int) -> None:
        """After the rates are settled of these flows, ``of`` all that the router has; no other has short intervals.

        Who has them keeps them for as long as the hop below primes.
        """
        wanting = [flow for flow in flows if flow.primes_below and flow.granted_w > 0.0]
        interval_ns = self._interval_ns(of)
        if interval_ns > self._longest_ns:
            wanting = []
        wanting.sort(key=lambda flow: not flow.quick)
        chosen = wanting[:MOST_FLOWS]
        for flow in flows:
            flow.quick = False
        for flow in chosen:
            flow.quick = True
        if not chosen:
            self.next_ns = None
        elif self.next_ns is None:
            self.next_ns = now_ns + interval_ns

    def sent(self, flows: Sequence[Flow], now_ns: int) -> None:
        self.next_ns = now_ns + self._interval_ns(len(flows))

    def _interval_ns(self, flows: int) -> int:
        return max(self._prime_ns, flows * INTERVAL_A_FLOW_NS)
