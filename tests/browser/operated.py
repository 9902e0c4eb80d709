"""What a person does on the page of nine routers, and what has come of it by then."""

from playwright.sync_api import Page, expect

from digitalgrid.client import PowerClient, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.patience import wait_for


def circuit(client: PowerClient, sink: str, power_w: float, *sources: str) -> int:
    """The number of a circuit that has power, of any source unless some are named."""
    [made] = client.request_power(power_request(sink, power_w, source_ids=sources)).circuits
    wait_for(lambda: client.get_circuit(made.circuit_id).state == pb.CIRCUIT_STATE_ACTIVE)
    return made.circuit_id


def press_on(page: Page, name: str) -> None:
    """Goes by Tab to the button of that name, and presses it; nothing but keys."""
    button = page.get_by_role("dialog").get_by_role("button", name=name, exact=True)
    expect(button).to_be_enabled()
    focused = "(button) => document.activeElement === button"
    for _ in range(20):
        if button.evaluate(focused):
            break
        page.keyboard.press("Tab")
    assert button.evaluate(focused), f"Tab does not lead to {name!r}"
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
