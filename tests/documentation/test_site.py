"""The documentation as a site: whole, and with nothing that a reader's browser would fetch from elsewhere."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from digitalgrid.market.v1 import ledger_service_pb2, market_pb2, meter_service_pb2
from digitalgrid.v1 import northbound_pb2, southbound_pb2
from tests.support.documents import ROOT

TOOL = ROOT / "tools" / "site"
REFERENCE = ("dgctl", "dgc", "dgr", "dgm", "api", "grid-file", "configuration")


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run([TOOL], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()
    pages = {
        page.relative_to(ROOT / "docs").with_suffix(".html")
        for page in (ROOT / "docs").rglob("*.md")
    }
    pages |= {Path("reference") / f"{name}.html" for name in REFERENCE}
    for page in pages:
        assert (site / page).exists(), page
        assert f'href="./{page}"' in home or page == Path("index.html"), page


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert (
            re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="?(?:https?:)?//', text) == []
        )
        assert 'class="mermaid"' not in text


def test_every_link_leads_somewhere_in_the_site(site: Path) -> None:
    lost = []
    for page in site.rglob("*.html"):
        # Where a server shows that one, links are those of its root.
        if page.name == "404.html":
            continue
        for link in re.findall(r'<a[^>]*href="?([^" >]+)', page.read_text()):
            there = urlsplit(link)
            if not (there.scheme or there.netloc) and there.path:
                target = page.parent / unquote(there.path)
                if not target.exists():
                    lost.append(f"{page.relative_to(site)}: {link}")
    assert lost == []


def test_every_service_and_call_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "api.html").read_text()
    for file in (northbound_pb2, southbound_pb2, market_pb2, ledger_service_pb2, meter_service_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            assert service.name in page
            for method in service.methods:
                assert f"{method.name}(" in page, method.full_name
