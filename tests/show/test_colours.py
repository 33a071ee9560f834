"""Text of the report is readable in light and dark: a contrast of 4.5 (WCAG 2.2), which needs no browser to tell."""

from __future__ import annotations

import re

import pytest

from effbatch.core.resources import bundled

TEXT = [("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("on-accent", "accent"), ("ink", "wash")]


def colours(scheme: str) -> dict[str, str]:
    """Those of `:root`; in the dark, what the page overrides of them."""
    common, screen = (
        (bundled("templates") / name).read_text(encoding="utf-8") for name in ("common.css", "screen.css")
    )
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", screen, re.DOTALL)[1]
    light = re.search(r":root \{(.*?)\}", common, re.DOTALL)[1]
    return dict(re.findall(r"--([\w-]+): #(\w{6});", light if scheme == "light" else dark))


def luminance(colour: str) -> float:
    """Relative luminance of sRGB."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_dark_scheme_overrides_every_colour_of_the_light_one():
    light, dark = colours("light"), colours("dark")
    assert dark.keys() == light.keys()
    assert luminance(dark["paper"]) < 0.05 < 0.9 < luminance(light["paper"])


@pytest.mark.parametrize(("ink", "paper"), TEXT)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(scheme, ink, paper):
    darker, lighter = sorted(luminance(colours(scheme)[name]) for name in (ink, paper))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
