"""Files of the page: whole, compressed where asked, cached by what is in them, and few bytes."""

import gzip
from importlib.resources import files

import pytest

from controller.web.assets import Assets, as_sent
from tests.support.northbound import in_loop
from tests.support.page import page

# All of them together, as a browser loads them: a second on a slow line.
MOST_BYTES = 120_000


def test_all_files_of_the_page_weigh_little() -> None:
    # Licences are there for people, who ask for them by their name.
    loaded = [each for each in Assets() if not each.type.startswith("text/plain")]
    assert sum(len(each.gzipped or each.plain) for each in loaded) <= MOST_BYTES


def test_files_are_sent_without_comments_and_indentation_and_with_each_line_where_it_was() -> None:
    source = b"""// What it is.
import { a } from "./a.js";

/**
 * Its word. @param {any} row
 */
export const text = `// ${a} /** stays */`; // so does this
  /** One line. */
const url = "https://grid.example/*";
const row = html`<li>
    <b>${text}</b></li>`;
"""
    sent = b"""
import { a } from "./a.js";




export const text = `// ${a} /** stays */`; // so does this

const url = "https://grid.example/*";
const row = html`<li>
<b>${text}</b></li>`;
"""
    assert as_sent("views/text.js", source) == sent
    assert as_sent("vendor/theirs.js", source) == source
    style = b"/* What for. */\nbody {\n  margin: 0;\n}\n"
    assert as_sent("style/base.css", style) == b"\nbody {\nmargin: 0;\n}\n"


@in_loop
async def test_the_page_is_served_and_asked_for_again_only_when_it_is_another() -> None:
    async with page() as served:
        index = (files("controller.web") / "page" / "index.html").read_bytes()
        async with served.http.get(served.address) as answer:
            assert answer.content_type == "text/html"
            assert await answer.read() == index
            etag = answer.headers["ETag"]
        async with served.http.get(served.address, headers={"If-None-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with served.http.get(
            f"{served.address}page/index.html",
            headers={"Accept-Encoding": "gzip"},
            auto_decompress=False,
        ) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await answer.read()) == index


@pytest.mark.parametrize(
    "path",
    [
        "page/nothing.js",
        "page/../server.py",
        "page/%2e%2e/server.py",
        "page//etc/passwd",
        "page/..%2fserver.py",
        "nothing",
    ],
)
def test_what_is_no_file_of_the_page_is_not_found(path: str) -> None:
    @in_loop
    async def story() -> None:
        async with page() as served, served.http.get(f"{served.address}{path}") as answer:
            assert answer.status == 404

    story()
