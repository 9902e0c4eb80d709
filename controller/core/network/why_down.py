"""Fault cause of a line: why it is down, from what its two ends and their sessions say, in a word and in words."""

from typing import NamedTuple

from controller.core.network.link import LinkState, LinkView
from controller.core.network.view import GridView
from digitalgrid.model import DownCause


class WhyDown(NamedTuple):
    """``text`` says which end sees it; empty where nobody says why."""

    cause: DownCause = DownCause.UNKNOWN
    text: str = ""


NOBODY_SAYS = WhyDown()

# What an end sees: the one that tells the most comes first.
_SEEN = (DownCause.CARRIER_LOST, DownCause.SILENT, DownCause.FAR_END, DownCause.NOT_HEARD)


def why_down(view: GridView, link: LinkView) -> WhyDown:
    """A router that is gone explains what its neighbour sees, and a line whose ends were up when they last spoke."""
    seen = next((cause for cause in _SEEN if cause in link.down), None)
    gone = [
        each for each in (link.a, link.b) if each in view.routers and not view.routers[each].heard
    ]
    if gone and (seen is not None or link.state is LinkState.UP):
        verb = "is" if len(gone) == 1 else "are"
        return WhyDown(DownCause.ROUTER_GONE, f"{' and '.join(gone)} {verb} gone")
    if seen is not None:
        return WhyDown(seen, _text(link, seen))
    if DownCause.ENDS_DIFFER in link.down:
        both = link.down[0] is DownCause.ENDS_DIFFER
        text = "its ends say different things of it" if both else f"{link.b} does not have it"
        return WhyDown(DownCause.ENDS_DIFFER, text)
    if link.state is LinkState.UNKNOWN:
        return WhyDown(DownCause.NOT_HEARD, f"nothing is known of {link.b}")
    return NOBODY_SAYS


def _text(link: LinkView, seen: DownCause) -> str:
    both = link.down[0] is link.down[1]
    here, there = (link.a, link.b) if link.down[0] is seen else (link.b, link.a)
    match seen:
        case DownCause.CARRIER_LOST:
            return "no carrier" if both else f"no carrier at {here}"
        case DownCause.SILENT:
            return (
                f"{here} and {there} hear nothing of each other"
                if both
                else f"{here} hears nothing of {there}"
            )
        case DownCause.FAR_END:
            return f"{there} has begun anew, or does not hear {here}"
        case _:
            return f"{here} has not heard {there} yet"
