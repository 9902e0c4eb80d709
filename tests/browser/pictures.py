"""Pictures of the documentation, made of the page as it is: ``--update-pictures`` makes them anew."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

_IMAGES = Path(__file__).parents[2] / "docs" / "images"
# A page has few colours, and shades of them where letters and lines end: with so many nobody sees a difference, and a
# picture takes a third of the bytes.
_COLOURS = 256


def are_wanted(config: pytest.Config, *names: str) -> bool:
    """Whether these are to be made anew, whoever takes them; else they are there."""
    if config.getoption("--update-pictures"):
        return True
    assert all((_IMAGES / each).exists() for each in names)
    return False


def take(page: Page, name: str) -> None:
    """Writes what a page shows to the documentation."""
    with Image.open(io.BytesIO(page.screenshot())) as shown:
        few = shown.convert("RGB").quantize(
            _COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
        )
    few.save(_IMAGES / name, optimize=True)
