"""Colours of the operator's page: read against each other by everybody, also by those who see two primaries only."""

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

_PALETTE = Path(__file__).parents[3] / "controller/web/page/palette.js"
# WCAG 2.2: text (1.4.3), and what must be seen of graphics (1.4.11).
_TEXT, _GRAPHICS = 4.5, 3.0
# Of neighbours in a ramp, in OKLab; two colours are told apart side by side from 0.02 on.
_STEP = 0.05

# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
_DICHROMACIES = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def themes() -> dict[str, dict[str, Any]]:
    found = re.search(
        r"/\* json \*/\nexport const THEMES = (.*?);\n/\* end \*/",
        _PALETTE.read_text("utf-8"),
        re.S,
    )
    assert found is not None
    read: dict[str, dict[str, Any]] = json.loads(found[1])
    return read


def linear(colour: str) -> tuple[float, float, float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return red, green, blue


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def oklab(rgb: Sequence[float]) -> tuple[float, float, float]:
    """Björn Ottosson's OKLab."""
    red, green, blue = (max(0.0, part) for part in rgb)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def seen(colour: str, dichromacy: str) -> tuple[float, float, float]:
    rgb = linear(colour)
    return oklab(
        [
            sum(part * weight for part, weight in zip(rgb, row, strict=True))
            for row in _DICHROMACIES[dichromacy]
        ]
    )


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_fuller_line_stands_out_more_by_lightness_alone(theme: str) -> None:
    colours = themes()[theme]
    steps = [contrast(each, colours["ground"]) for each in colours["ramp"]]
    assert all(fuller > emptier for emptier, fuller in pairwise(steps))
    assert steps[0] >= _GRAPHICS


@pytest.mark.parametrize("dichromacy", _DICHROMACIES)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_neighbours_in_a_ramp_are_told_apart_with_two_primaries(
    theme: str, dichromacy: str
) -> None:
    ramp = themes()[theme]["ramp"]
    steps = [
        math.dist(seen(one, dichromacy), seen(other, dichromacy)) for one, other in pairwise(ramp)
    ]
    assert min(steps) >= _STEP, steps


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("ground", ["ground", "panel", "raised", "wash"])
def test_words_are_read_on_every_ground(theme: str, ground: str) -> None:
    colours = themes()[theme]
    words = ("text", "alarm") if ground == "wash" else ("text", "muted", "ok", "warn", "alarm")
    found = {word: contrast(colours[word], colours[ground]) for word in words}
    assert min(found.values()) >= _TEXT, found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_words_on_buttons_are_read(theme: str) -> None:
    colours = themes()[theme]
    assert contrast(colours["on-accent"], colours["accent"]) >= _TEXT
    assert contrast(colours["on-alarm"], colours["alarm"]) >= _TEXT


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_signs_on_the_map_are_seen(theme: str) -> None:
    colours = themes()[theme]
    signs = ["alarm", "warn", "source", "load", "idle", "edge", "text", "accent"]
    found = {sign: contrast(colours[sign], colours["ground"]) for sign in signs}
    assert min(found.values()) >= _GRAPHICS, found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_dashes_are_seen_on_every_core(theme: str) -> None:
    colours = themes()[theme]
    for core in colours["ramp"]:
        dash = colours["dash-on-light" if luminance(core) > 0.4 else "dash"]
        assert contrast(dash, core) >= 2.0, core
