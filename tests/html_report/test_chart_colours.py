"""The colours of the charts on the page and in the report are distinguishable, also with colour blindness."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytest

from glacier_jobs.html_report import render
from glacier_jobs.page.pictures import VAULTS_SHOWN
from tests.conftest import ROOT

Colour: TypeAlias = Any  # an array of red, green and blue, each from 0 to 1

#: Matrices for linear RGB that simulate the three kinds of dichromacy. Machado, Oliveira and Fernandes, "A
#: Physiologically-based
#: Model for Simulation of Color Vision Deficiency" (2009), severity 1.0.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}

#: From linear RGB to Oklab, in which distances match perceived differences. Björn Ottosson, "A perceptual color
#: space for image processing" (2020).
LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

#: WCAG 2.2, success criterion 1.4.11, for graphics against their background.
MIN_BACKGROUND_CONTRAST = 3.0
MIN_NEIGHBOUR_CONTRAST = 1.6

#: Minimum distances in Oklab (black to white is 1) between any two colours of a chart, and between neighbours in a
#: stack.
MIN_DISTANCE, MIN_NEIGHBOUR_DISTANCE = 0.09, 0.15


def parsed(text: str) -> Colour:
    return np.array([int(text[start : start + 2], 16) for start in (1, 3, 5)]) / 255


def linear(colour: Colour) -> Colour:
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def contrast(one: Colour, other: Colour) -> float:
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05 for colour in (one, other))
    return light / dark


def distance(one: Colour, other: Colour, vision: Any) -> float:
    seen = [np.cbrt(np.clip(vision @ linear(colour), 0, 1) @ LMS.T) @ OKLAB.T for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def custom_properties(mode: str) -> dict[str, str]:
    """Return the page's custom properties in a colour mode."""
    css = (ROOT / "include" / "page_frontend" / "src" / "style.css").read_text()
    selectors = {"light": [":root {"], "dark": [":root {", ":root.dark {"]}[mode]
    found: dict[str, str] = {}
    for selector in selectors:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css[css.index(selector) :].partition("}")[0]))
    return found


def page_chart(mode: str, names: Sequence[str]) -> tuple[list[Colour], Colour]:
    properties = custom_properties(mode)
    return [parsed(properties[name]) for name in names], parsed(properties["raised"])


def report_template() -> str:
    return (ROOT / "plugins" / "glacier_jobs" / "html_report" / "report.html").read_text()


def turned_dark(colour: Colour) -> Colour:
    """Return a colour after the filter that the report applies to its charts in dark mode.

    Source: Filter Effects Module Level 1, "invert" and "hue-rotate".
    """
    filtered = re.search(r"\.picture, .* \{ filter: invert\((\.\d+)\) hue-rotate\(180deg\); \}", report_template())
    assert filtered
    share = float(filtered.group(1))
    rotated = 2 * np.array([[0.213, 0.715, 0.072]] * 3) - np.eye(3)
    return np.clip(rotated @ (share + (1 - 2 * share) * colour), 0, 1)


def report_chart(mode: str, colours: Sequence[str]) -> tuple[list[Colour], Colour]:
    change: Callable[[Colour], Colour] = {"light": lambda colour: colour, "dark": turned_dark}[mode]
    light, dark = re.findall(r"--card: (#\w+);", report_template())[:2]
    background = {"light": "#" + light[1:] * (2 if len(light) == 4 else 1), "dark": dark}[mode]
    return [change(parsed(colour)) for colour in colours], parsed(background)


STATUSES = ["failed", "succeeded", "in-progress"]
VAULTS = [*(f"series-{number}" for number in range(1, VAULTS_SHOWN + 1)), "series-others"]
REPORT_STATUSES = list(render.STATUS_COLOURS.values())
REPORT_VAULTS = [*render.VAULT_COLOURS, render.OTHERS_COLOUR]

CHARTS = {
    "page-status": lambda mode: page_chart(mode, STATUSES),
    "page-vaults": lambda mode: page_chart(mode, VAULTS),
    "page-tiers": lambda mode: page_chart(mode, ["tier-expedited", "tier-standard", "tier-bulk"]),
    "report-status": lambda mode: report_chart(mode, REPORT_STATUSES),
    "report-vaults": lambda mode: report_chart(mode, REPORT_VAULTS),
}
STACKED = [name for name in CHARTS if name != "page-tiers"]

in_both_modes = pytest.mark.parametrize("mode", ["light", "dark"])


@in_both_modes
@pytest.mark.parametrize("chart", CHARTS)
def test_every_colour_contrasts_with_its_background(chart: str, mode: str) -> None:
    colours, background = CHARTS[chart](mode)

    assert min(contrast(colour, background) for colour in colours) >= MIN_BACKGROUND_CONTRAST


@in_both_modes
@pytest.mark.parametrize("chart", STACKED)
def test_neighbours_in_a_stack_differ_in_lightness(chart: str, mode: str) -> None:
    colours, _ = CHARTS[chart](mode)

    assert min(contrast(*pair) for pair in itertools.pairwise(colours)) >= MIN_NEIGHBOUR_CONTRAST


@in_both_modes
@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("chart", CHARTS)
def test_colours_differ_for_everybody(chart: str, vision: str, mode: str) -> None:
    colours, _ = CHARTS[chart](mode)

    assert min(distance(*pair, VISIONS[vision]) for pair in itertools.combinations(colours, 2)) >= MIN_DISTANCE
    neighbours = min(distance(*pair, VISIONS[vision]) for pair in itertools.pairwise(colours))
    assert neighbours >= MIN_NEIGHBOUR_DISTANCE


def test_the_report_has_the_colours_of_the_page() -> None:
    properties = custom_properties("light")

    assert [properties[name] for name in STATUSES] == REPORT_STATUSES
    assert [properties[name] for name in VAULTS] == REPORT_VAULTS


def test_the_distance_is_small_for_colours_that_colour_blindness_makes_similar() -> None:
    red, green = parsed("#d64545"), parsed("#2c9a5b")

    assert contrast(red, green) < MIN_NEIGHBOUR_CONTRAST
    assert distance(red, green, VISIONS["usual"]) > 2 * distance(red, green, VISIONS["deuteranopia"])
    assert contrast(parsed("#000000"), parsed("#ffffff")) == pytest.approx(21)
    assert distance(parsed("#000000"), parsed("#ffffff"), VISIONS["usual"]) == pytest.approx(1, abs=1e-6)
