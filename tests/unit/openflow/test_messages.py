"""OpenFlow messages of the fabric's effects, as os-ken writes them."""

import random

from os_ken.ofproto import ofproto_v1_3
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from controller.openflow.flows import AddFlow, RemoveOthersFlows, Verdict, admit_trunk
from controller.openflow.messages import new_cookie, to_messages

DATAPATH = ProtocolDesc(ofproto_v1_3.OFP_VERSION)


def is_removed(flow_cookie: int, own_cookie: int) -> bool:
    """As a switch does: it removes what is like a message's cookie wherever the mask has ones."""
    return any(
        flow_cookie & each.cookie_mask == each.cookie & each.cookie_mask
        for each in to_messages(DATAPATH, RemoveOthersFlows(1), own_cookie)
    )


def test_flows_of_any_other_connection_are_removed_and_none_of_this_one() -> None:
    chance = random.Random(7)
    cookies = [0, 1, 2**63 - 1, *(chance.getrandbits(63) for _ in range(20))]
    for own in cookies:
        others = [own ^ 1 << place for place in range(63)]
        assert [each for each in (*cookies, *others) if not is_removed(each, own)] == [own]


def test_flows_carry_the_cookie_of_their_connection() -> None:
    cookie = new_cookie()
    added = AddFlow(1, admit_trunk(3), Verdict.TO_FORWARDING)
    (message,) = to_messages(DATAPATH, added, cookie)
    assert message.cookie == cookie
    assert not is_removed(message.cookie, cookie)
