"""Colours of build output: the SGR sequences of ECMA-48, and nothing else a terminal obeys.

`static/ansi.js` does the same for lines that arrive live; a test holds both to one table.
"""

import re
from dataclasses import dataclass, field

#: Control sequences (CSI, OSC and the short ones), and what else is not to be seen.
_SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
#: Codes of one sequence, digits of one code, and pieces of one line that are looked at; no honest
#: program prints more, and a line may have 64 kB of them.
MOST_CODES, MOST_DIGITS, MOST_PIECES = 32, 4, 500
_NO_CODE = 9_999
_STYLES = {1: "b", 2: "d", 3: "i", 4: "u", 7: "r", 9: "s"}
_ENDS = {22: ("b", "d"), 23: ("i",), 24: ("u",), 27: ("r",), 29: ("s",)}
#: Red, green, blue of the sixteen colours, to find the nearest one.
_SIXTEEN = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
_CUBE = (0, 95, 135, 175, 215, 255)


@dataclass(slots=True)
class _Pen:
    styles: set[str] = field(default_factory=set)
    ink: int | None = None
    ground: int | None = None

    @property
    def classes(self) -> str:
        """The classes of `static/style.css` that look like it."""
        names = [f"a-{style}" for style in sorted(self.styles)]
        names += [] if self.ink is None else [f"f-{self.ink}"]
        names += [] if self.ground is None else [f"g-{self.ground}"]
        return " ".join(names)

    def obey(self, codes: list[int]) -> None:
        """Change as one sequence says."""
        while codes:
            code, *codes = codes
            if code == 0:
                self.styles.clear()
                self.ink = self.ground = None
            elif code in _STYLES:
                self.styles.add(_STYLES[code])
            elif code in _ENDS:
                self.styles.difference_update(_ENDS[code])
            elif code in (38, 48):
                self._set(code == 38, _read_colour(codes))
                codes = codes[4 if codes[:1] == [2] else 2 :]
            elif code in (39, 49):
                self._set(code == 39, None)
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.ink = code - 30 if code < 40 else code - 82
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.ground = code - 40 if code < 50 else code - 92

    def _set(self, is_ink: bool, colour: int | None) -> None:
        if is_ink:
            self.ink = colour
        else:
            self.ground = colour


def spans(line: str) -> list[tuple[str, str]]:
    """The line's pieces, each with the classes of its looks, '' for plain."""
    line = line.rstrip("\r").rpartition("\r")[2]
    pen, pieces, end = _Pen(), [], 0
    for found in _SEQUENCE.finditer(line):
        pieces.append((pen.classes, line[end : found.start()]))
        end = found.end()
        if len(pieces) >= MOST_PIECES:
            line, end = _SEQUENCE.sub("", line[end:]), 0
            break
        if found[1] is not None:
            pen.obey(_read_codes(found[1]))
    pieces.append((pen.classes, line[end:]))
    return [(classes, text) for classes, text in pieces if text]


def plain(line: str) -> str:
    """The line without anything that a terminal obeys."""
    return "".join(text for _classes, text in spans(line))


def _read_codes(text: str) -> list[int]:
    """The codes of a sequence; 0 for one that is left out, and no code at all for a long one."""
    codes = re.split("[;:]", text, maxsplit=MOST_CODES)[:MOST_CODES]
    return [int(code or 0) if len(code) <= MOST_DIGITS else _NO_CODE for code in codes]


def _read_colour(codes: list[int]) -> int | None:
    """The nearest of sixteen: CSP allows no colour that the style sheet does not name."""
    match codes:
        case [5, number, *_]:
            return _from_table(number)
        case [2, red, green, blue, *_]:
            return _nearest((red, green, blue))
    return None


def _from_table(number: int) -> int | None:
    if number < 16:
        return number
    if number < 232:
        number -= 16
        return _nearest((_CUBE[number // 36], _CUBE[number // 6 % 6], _CUBE[number % 6]))
    return _nearest((8 + 10 * (number - 232),) * 3) if number < 256 else None


def _nearest(colour: tuple[int, int, int]) -> int:
    def distance(index: int) -> int:
        return sum((one - other) ** 2 for one, other in zip(colour, _SIXTEEN[index], strict=True))

    return min(range(16), key=distance)
