"""Overdue: what is missing at a load, its power being granted, is late and not lost while whoever sends it is late.

A buffer that has run dry is weak evidence of a fault: what it waits for may not have been sent yet, by a neighbour that
has too much to do. It says so itself, and with it the neighbours before it are late as well, on the machine or for the
cause that they share. What it says counts while it is heard: of a dead neighbour, or on a dead line, nothing is.

But one that hangs says for seconds that it is late, and one that is late may pass on what comes from a line that loses
half. So it is waited for while that costs the load nothing: as long as the other generation lends what is missing, and
has enough left to take over.
"""

from digitalgrid.units import NS_PER_MS
from router_agent.config import RouterConfig
from router_agent.device.flow import Flow

# Whoever lives is heard each hello, or says soon after that it is late: after so many it is silent.
_HEARD_WITHIN_HELLOS = 2


class Overdue:
    def __init__(self, config: RouterConfig) -> None:
        self._heard_within_ns = _HEARD_WITHIN_HELLOS * config.hello_ns
        self._slack_ns = config.hello_slack_ns

    def until_ns(self, flow: Flow, other: Flow, now_ns: int) -> int:
        """Until when to wait for the energy of a flow whose buffer is all but dry: no longer where nobody is late, or
        the ``other`` one, which could be demanded instead, has lent what it can.
        """
        if flow.missed_since_ns is None:
            flow.missed_since_ns = now_ns
        if flow.ingress is None or flow.limited:
            return now_ns
        # Who sends to that neighbour may be as late as it is; and the usual is in the buffer.
        late_ns = 2 * flow.ingress.told_late_ns(now_ns, self._heard_within_ns) - self._slack_ns
        # With as much it plays until its own neighbour has heard that it is demanded.
        lends_mj = other.buffer_mj - other.ready_mj
        # In whole milliseconds: what is lent in nanoseconds is rounded to nothing, and no time would be the last.
        lends_ns = int(lends_mj / flow.need_w) * NS_PER_MS
        return min(flow.missed_since_ns + max(0, late_ns), now_ns + max(0, lends_ns))
