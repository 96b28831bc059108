"""The pictures of badges: SVG that loads nothing and runs nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from string import Template
from typing import NamedTuple
from unicodedata import east_asian_width


class Look(NamedTuple):
    """How a state is shown: its word, its colour, and that colour's name at shields.io."""

    word: str
    colour: str
    name: str


def draw(label: str, look: Look, style: str) -> str:
    """The picture: two boxes, the label in the left one and the word in the right one."""
    shape = _SHAPES[style]
    texts = [shape.change(label), shape.change(look.word)]
    widths = [round(_measure(text) * shape.stretch) + 2 * shape.padding for text in texts]
    return _PICTURE.substitute(
        title=escape(f"{label}: {look.word}"),
        width=sum(widths),
        height=shape.height,
        radius=shape.radius,
        left=widths[0],
        right=widths[1],
        colour=look.colour,
        shade=_SHADE if shape.shaded else "",
        font=shape.font,
        texts="".join(
            f'<text x="{start + width / 2:g}" y="{shape.baseline}" textLength="'
            f'{width - 2 * shape.padding}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
            for text, width, start in zip(texts, widths, (0, widths[0]), strict=True)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a style is made of; lengths in pixels."""

    height: int
    radius: int
    padding: int
    baseline: int
    shaded: bool
    font: str
    #: How much wider its letters are than those of 11 pixels.
    stretch: float = 1.0
    change: Callable[[str], str] = str


_FONT = 'font-family="Verdana,DejaVu Sans,Geneva,sans-serif"'
_SHAPES = {
    "flat": _Shape(20, 3, 6, 14, True, f'{_FONT} font-size="11"'),
    "flat-square": _Shape(20, 0, 6, 14, False, f'{_FONT} font-size="11"'),
    "for-the-badge": _Shape(
        28, 0, 10, 18, False, f'{_FONT} font-size="10" font-weight="bold"', 1.2, str.upper
    ),
}
STYLES = tuple(_SHAPES)
_SHADE = '<rect width="100%" height="50%" fill="#fff" fill-opacity=".1"/>'
# Without any id, so that several of them may stand in one page.
_PICTURE = Template(
    '<svg xmlns="http://www.w3.org/2000/svg" width="$width" height="$height" role="img"'
    ' aria-label="$title"><title>$title</title>'
    '<g style="clip-path:inset(0 round ${radius}px)">'
    '<rect width="$left" height="$height" fill="#444c56"/>'
    '<rect x="$left" width="$right" height="$height" fill="$colour"/>$shade</g>'
    '<g fill="#fff" text-anchor="middle" $font>$texts</g></svg>'
)


def _measure(text: str) -> float:
    """About how wide the text is in Verdana of 11 pixels; `textLength` makes it fit exactly."""
    return sum(map(_width, text))


def _width(letter: str) -> float:
    if letter in "ijlI.,:;'|! ":
        return 3.8
    if letter in "frt()[]/-\\":
        return 4.8
    if letter in "mwMW@%":
        return 10.2
    if letter.isupper():
        return 7.8
    return 11.0 if east_asian_width(letter) in "WF" else 6.8
