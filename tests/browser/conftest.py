"""A browser as operators have it: Debian's Chromium, without WebGL, as browsers without a GPU are."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from benchmarks.page_feed import PlayedNetwork
from digitalgrid.client import PowerClient
from tests.browser.played import PlayedController, small_grid
from tests.support.networks import network
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.plugins import install_example
from topologies import emulator

_CHROMIUM = shutil.which("chromium")
_AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
DESK = (1440, 900)
PHONE = (390, 844)

Open = Callable[..., Page]


# Of a module: while it is driven, its thread has a loop that runs, beside which tests of others can have none.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if _CHROMIUM is None:
        assert "CI" not in os.environ, "chromium is missing: apt-get install chromium"
        pytest.skip("chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        # Everything runs as root in a container, where Chromium has no sandbox.
        arguments = ["--disable-3d-apis", "--no-sandbox"]
        launched = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        expect.set_options(timeout=PATIENCE_S * 1000)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens pages; whatever a page logs as an error, or throws, fails the test when it ends."""
    wrong: list[str] = []
    with ExitStack() as stack:

        def opened(
            address: str, size: tuple[int, int] = DESK, scheme: str = "dark", **more: Any
        ) -> Page:
            context: BrowserContext = browser.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="light" if scheme == "light" else "dark",
                **more,
            )
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE_S * 1000)
            page = context.new_page()
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on(
                "console",
                lambda said: wrong.append(said.text) if said.type == "error" else None,
            )
            page.goto(address)
            return page

        yield opened
    # Refusals and a daemon that is away are part of some tests, and are no faults of the page.
    assert [each for each in wrong if "Failed to load resource" not in each] == []


@pytest.fixture(scope="module")
def options(
    browser: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[emulator.EmulationOptions]:
    # With a routing algorithm of others beside our own.
    site = tmp_path_factory.mktemp("site")
    install_example(site, "greedy")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            patched.syspath_prepend(site)
            running = stack.enter_context(network(tmp_path_factory.mktemp("emulation") / "run"))
        yield running


@pytest.fixture
def address(options: emulator.EmulationOptions) -> str:
    return f"http://{options.page}/"


@pytest.fixture
def client(options: emulator.EmulationOptions) -> Iterator[PowerClient]:
    with PowerClient(options.northbound) as connected:
        yield connected
        for circuit in connected.list_circuits().circuits:
            connected.release_circuit(circuit.circuit_id)
        wait_for(lambda: not list(connected.list_circuits().circuits))


@pytest.fixture(scope="module")
def controller() -> Iterator[PlayedController]:
    """A played one, of a network of three routers."""
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        yield played


def wait_until_drawn(page: Page) -> None:
    """The whole network has been told and painted."""
    page.wait_for_function(
        "() => globalThis.digitalgrid?.store.ready.value && digitalgrid.mapper.current?.painter.stills > 0"
    )


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA."""
    # Beside the page's own scripts, which its content security policy holds to its own files.
    if not page.evaluate("() => 'axe' in globalThis"):
        page.evaluate(_AXE)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    # Told here is only what is wrong: what is right is many times as much.
    found: list[str] = page.evaluate(
        """async (values) => {
            // A colour on its way to another is none that anybody reads by.
            await Promise.allSettled(document.getAnimations().map((each) => each.finished));
            const options = { runOnly: { type: 'tag', values }, resultTypes: ['violations'] };
            const { violations } = await axe.run(options);
            const told = (nodes) => nodes.slice(0, 3).map(({ html }) => html.slice(0, 160));
            return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${told(nodes)}`);
        }""",
        rules,
    )
    return found
