"""Settling: when the rates of all flows are found anew, once for all that happened meanwhile (coalescing)."""

# Flows whose rates are found anew with every event; beyond, so much more time passes for each before it is done again:
# a settlement takes up to 10 us a flow, and then takes up to half of the router's time.
FLOWS_SETTLED_AT_ONCE = 250
SETTLING_NS_A_FLOW = 20_000
# Likewise, for each of them, for what keeps no load in the dark, as where circuits begin: a settlement closes the books
# first, and takes a seventh of the time then. It never waits for longer than until the next tick.
PATIENT_NS_A_FLOW = 100_000


class Settling:
    """``next_ns``: when the rates are to be found anew; None while they are right."""

    def __init__(self, now_ns: int) -> None:
        self.next_ns: int | None = None
        self._from_ns = now_ns
        self._patient_from_ns = now_ns
        # Before that, nothing begins to spend what it has held. Only who does begin puts it off for those that follow:
        # of settlements there is one every tick, and with enough flows nobody's turn would ever come.
        self.plays_from_ns = now_ns

    def want(self, now_ns: int, *, urgent: bool) -> int:
        """Have them found anew as soon as no other event is waiting; returns when.

        Where there are very many flows that takes so long that what comes in quick succession waits for one another,
        and for longer where it is not ``urgent``.
        """
        at_ns = max(now_ns, self._from_ns if urgent else self._patient_from_ns)
        self.next_ns = at_ns if self.next_ns is None else min(self.next_ns, at_ns)
        return self.next_ns

    def is_due(self, now_ns: int) -> bool:
        return self.next_ns is not None and now_ns >= self.next_ns

    def done(self, flows: int, now_ns: int) -> None:
        """They are right as of now."""
        self.next_ns = None
        beyond = max(0, flows - FLOWS_SETTLED_AT_ONCE)
        self._from_ns = now_ns + beyond * SETTLING_NS_A_FLOW
        self._patient_from_ns = now_ns + _patience_ns(flows)

    def played(self, flows: int, now_ns: int) -> None:
        """Those that could have begun to spend what they held."""
        self.plays_from_ns = now_ns + _patience_ns(flows)


def _patience_ns(flows: int) -> int:
    return flows * PATIENT_NS_A_FLOW if flows > FLOWS_SETTLED_AT_ONCE else 0
