"""Wait-to-restore (RFC 4427): when lines that were down came back, so that nobody soon follows one that flaps."""

from collections.abc import Mapping

from controller.core.network.link import LinkState, LinkView


class RestoredLinks:
    """Of links that are up, since when, if they were known before and were not."""

    def __init__(self) -> None:
        self._since_ns: dict[str, int] = {}

    def note(
        self, before: Mapping[str, LinkView], changed: Mapping[str, LinkView | None], now_ns: int
    ) -> None:
        """What became of links; None: it is gone."""
        for link_id, link in changed.items():
            known = before.get(link_id)
            if link is None or link.state is not LinkState.UP:
                self._since_ns.pop(link_id, None)
            elif known is not None and known.state is not LinkState.UP:
                self._since_ns[link_id] = now_ns

    def within(self, wait_ns: int, now_ns: int) -> frozenset[str]:
        """Those that have not been up for so long."""
        return frozenset(
            link_id for link_id, since_ns in self._since_ns.items() if now_ns - since_ns < wait_ns
        )
