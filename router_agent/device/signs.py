"""Signs of life: what is said for a router whose work keeps it from saying so, by whoever has what it said last."""

from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import FrameError, decode, encode
from router_agent.device.lateness import MAX_LATE_MS


def pulse(sign: bytes, hello_ns: int, now_ns: int) -> tuple[bytes | None, int]:
    """That the router lives and is late with its next frame, as its line's last sign tells; None where it is not late,
    or later than any router is. And when to look again.

    Half a hello late is late: so a neighbour, who takes it for dead after three, hears two pulses before. A sign that
    is just being written is none.
    """
    try:
        frame = decode(sign)
    except FrameError:
        return None, now_ns + hello_ns
    due_ns = frame.origin_ns + hello_ns
    late_ns = now_ns - due_ns
    if late_ns < hello_ns // 2:
        return None, due_ns + hello_ns // 2
    datagram = None
    if late_ns <= MAX_LATE_MS * NS_PER_MS:
        datagram = encode(frame._replace(origin_ns=now_ns, part=late_ns // NS_PER_MS))
    return datagram, now_ns + hello_ns
