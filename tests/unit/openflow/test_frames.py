import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.openflow.frames import (
    LLDP_MULTICAST,
    PortId,
    arp_frame,
    parse_arp,
    parse_ethernet,
    parse_probe,
    probe_frame,
)

COOKIE = b"8 bytes!"
PORTS = st.builds(PortId, st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1))


@given(PORTS)
def test_a_probe_names_the_port_that_it_left(port: PortId) -> None:
    ethernet = parse_ethernet(probe_frame(port, COOKIE))
    assert ethernet is not None
    assert ethernet.destination == LLDP_MULTICAST
    assert parse_probe(ethernet, COOKIE) == port


def test_a_probe_of_another_controller_is_none_of_ours() -> None:
    ethernet = parse_ethernet(probe_frame(PortId(1, 2), b"another!"))
    assert ethernet is not None
    assert parse_probe(ethernet, COOKIE) is None


@given(PORTS, st.integers(0, 60))
def test_a_truncated_probe_is_no_probe(port: PortId, length: int) -> None:
    ethernet = parse_ethernet(probe_frame(port, COOKIE)[:length])
    assert ethernet is None or parse_probe(ethernet, COOKIE) in (None, port)


@given(st.binary(max_size=200))
def test_noise_is_parsed_or_refused_but_never_raises(noise: bytes) -> None:
    for frame in (noise, probe_frame(PortId(1, 1), COOKIE)[:14] + noise):
        ethernet = parse_ethernet(frame)
        if ethernet is not None:
            parse_arp(ethernet)
            parse_probe(ethernet, COOKIE)


@pytest.mark.parametrize("is_request", [True, False])
def test_arp_reads_back(is_request: bool) -> None:
    frame = arp_frame(
        is_request=is_request,
        sender_mac=b"\x02aaaaa",
        sender_ip=b"\x0a\0\0\x01",
        target_mac=b"\x02bbbbb",
        target_ip=b"\x0a\0\0\x02",
    )
    ethernet = parse_ethernet(frame)
    assert ethernet is not None
    assert ethernet.is_group is is_request
    arp = parse_arp(ethernet)
    assert arp is not None
    assert (arp.is_request, arp.sender_mac) == (is_request, b"\x02aaaaa")
    assert (arp.sender_ip, arp.target_ip) == (b"\x0a\0\0\x01", b"\x0a\0\0\x02")
