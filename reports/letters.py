"""Inter as its subset was cut -> the same with what charts need and it lacks: raised letters (δ -> ᵟ, /) and ∝.

A chart knows no markup: what is raised there must be a letter of its own. Each is drawn from the plain letter, at the
size and on the line of Inter's raised digits; the semi-bold one, made small, has stems as strong as the regular digits.
Noto Sans Math has ∝, but a text of two fonts is drawn in a third one where a figure is saved as PDF.
"""

from __future__ import annotations

from pathlib import Path

from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTFont

FONTS = Path(__file__).parent / "templates" / "fonts"
RAISED = {"a": "ᵃ", "b": "ᵇ", "s": "ˢ", "β": "ᵝ", "γ": "ᵞ", "δ": "ᵟ", "/": "ᐟ"}
SIZE, LINE = 0.6, 1024  # of the raised digits: share of the plain ones, and where they stand, of 2816 units
AROUND = 1.05  # times the width, so that small letters do not touch


def add(font: TTFont, new: str, shapes: TTFont, letter: str, size: float, line: int = 0, around: float = 1.0) -> None:
    """Give `font` the letter `new`: that of `shapes` for `letter`, `size` times as large, on `line`."""
    if ord(new) in font.getBestCmap():
        return
    top, glyphs, name = font["CFF "].cff.topDictIndex[0], shapes.getGlyphSet(), f"uni{ord(new):04X}"
    shape, strings = glyphs[shapes.getBestCmap()[ord(letter)]], top.CharStrings
    width, left = round(around * size * shape.width), round((around - 1) / 2 * size * shape.width)
    pen = T2CharStringPen(width - top.Private.nominalWidthX, glyphs)
    shape.draw(TransformPen(pen, (size, 0, 0, size, left, line)))
    strings.charStringsIndex.append(pen.getCharString(top.Private, font["CFF "].cff.GlobalSubrs))
    strings.charStrings[name] = len(strings.charStringsIndex) - 1
    font["hmtx"][name] = (width, left)
    top.charset.append(name)
    font.setGlyphOrder(top.charset)
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap[ord(new)] = name


if __name__ == "__main__":
    bold, signs = TTFont(FONTS / "Inter-SemiBold.otf"), TTFont(FONTS / "NotoSansMath-Regular.ttf")
    for file in ("Inter-Regular.otf", "Inter-SemiBold.otf"):
        changed = TTFont(FONTS / file)
        for letter, raised in RAISED.items():
            add(changed, raised, bold, letter, SIZE, LINE, AROUND)
        add(changed, "∝", signs, "∝", changed["head"].unitsPerEm / signs["head"].unitsPerEm)
        changed.save(FONTS / file)
