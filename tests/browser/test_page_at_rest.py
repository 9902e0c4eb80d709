"""A page over a controller at rest: what is woken once a second draws nothing anew, and knows since when all was so."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_feed import PlayedNetwork, event
from tests.browser.conftest import Open, wait_until_drawn
from tests.browser.played import PlayedController, small_grid

# What is changed in the document, but for the timeline, which moves on every few seconds.
WATCHES = """() => {
    globalThis.changed = [];
    const seen = (changes) => {
        for (const { target } of changes) {
            const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
            if (element && !element.closest(".timeline")) changed.push(element.outerHTML.slice(0, 80));
        }
    };
    const all = { subtree: true, childList: true, characterData: true, attributes: true };
    new MutationObserver(seen).observe(document.body, all);
}"""
# Two frames on, whatever was to be drawn is.
FRAMES = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
)
LINE_AT = """(atMs) => {
    const { history, tables } = digitalgrid.store;
    return history.pictureAt(atMs)?.tables(tables).links.get("a-b").up ?? null;
}"""
PICTURES = "() => digitalgrid.store.history.pictures.length"


@dataclass
class Rested:
    network: PlayedNetwork
    played: PlayedController
    page: Page

    def passes(self, seconds: int, step_s: int = 1) -> int:
        """Of the controller's time, in which it says a word each step; when it was last (unix ms)."""
        for _ in range(0, seconds, step_s):
            self.network.ahead_ms += step_s * 1000
            self.played.tell(self.network.now())
        at_ms = self.network.now_ms() - 999
        self.page.wait_for_function(
            "(at) => digitalgrid.store.now.value.at_unix_ms >= at", arg=at_ms
        )
        self.page.evaluate(FRAMES)
        return int(self.page.evaluate("() => digitalgrid.store.now.value.at_unix_ms"))


@pytest.fixture
def rested(open_page: Open) -> Iterator[Rested]:
    network = PlayedNetwork(small_grid(), 2)
    with PlayedController(network) as played:
        page = open_page(played.address)
        wait_until_drawn(page)
        # Tables come a little later than the map.
        expect(page.locator(".count")).to_have_text("2")
        here = Rested(network, played, page)
        here.passes(3)
        yield here


def test_nothing_is_drawn_anew_while_nothing_changes(rested: Rested) -> None:
    rested.page.evaluate(WATCHES)
    rested.passes(20)
    assert rested.page.evaluate("() => changed") == []
    rested.played.tell(rested.network.cut("a-b"))
    rested.passes(1)
    assert rested.page.evaluate("() => changed.length") > 0


def test_one_picture_is_kept_of_a_map_at_rest_and_the_next_from_its_first_change_on(
    rested: Rested,
) -> None:
    began_ms = rested.passes(10)
    kept = rested.page.evaluate(PICTURES)
    last_ms = rested.passes(600, step_s=10)
    assert rested.page.evaluate(PICTURES) == kept
    rested.played.tell(rested.network.cut("a-b"))
    cut_ms = rested.passes(1)
    assert rested.page.evaluate(LINE_AT, began_ms)
    assert rested.page.evaluate(LINE_AT, last_ms)
    assert rested.page.evaluate(LINE_AT, cut_ms) is False


def test_a_change_that_follows_an_alarm_is_not_shown_before_it_came(rested: Rested) -> None:
    """The picture of a map at rest is true for as long as it was at rest, also after an alarm that changed nothing."""
    began_ms = rested.passes(10)
    mark = {"n": 1, "at_unix_ms": began_ms + 500, "kind": "late", "id": "a", "severity": "alarm"}
    rested.played.tell(event("marks", {"marks": [{**mark, "text": "router a is late"}]}))
    rest_ms = rested.passes(2)
    rested.played.tell(rested.network.cut("a-b"))
    cut_ms = rested.passes(2)
    assert rested.page.evaluate(LINE_AT, rest_ms)
    assert rested.page.evaluate(LINE_AT, cut_ms) is False


def test_a_map_at_rest_is_not_known_for_the_time_in_which_nothing_was_heard(rested: Rested) -> None:
    before_ms = rested.passes(10)
    after_ms = rested.passes(120, step_s=120)
    assert rested.page.evaluate(LINE_AT, before_ms)
    assert rested.page.evaluate(LINE_AT, (before_ms + after_ms) / 2) is None
    assert rested.page.evaluate(LINE_AT, after_ms)


def test_a_page_that_was_busy_for_longer_than_a_word_is_new_says_again_that_it_is_live(
    rested: Rested,
) -> None:
    """It reads the words that came meanwhile only once it has drawn something."""
    rested.page.evaluate(
        """() => {
            digitalgrid.store.syncing.value = true;
            for (const until = Date.now() + 3_000; Date.now() < until;);
            digitalgrid.store.syncing.value = false;
        }"""
    )
    rested.page.evaluate(FRAMES)
    expect(rested.page.locator(".age")).to_contain_text("live")
