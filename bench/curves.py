"""Curves as SVG pictures; both axes are logarithmic, so a power is a straight line."""

from html import escape
from math import ceil, floor, log10

from bench.figures import Curve

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 44
#: Legible on white and on black.
COLOURS = ("#2a7fff", "#e07a00", "#2e9e5b", "#b34fc0")
GREY = "#888"


def draw(curve: Curve) -> str:
    """The curve as an SVG picture."""
    points = [point for line in curve.lines.values() for point in line]
    across = _Axis([size for size, _cost in points], LEFT, WIDTH - RIGHT)
    up = _Axis([cost for _size, cost in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" font-family="sans-serif" font-size="11" fill="{GREY}">',
        f"<title>{escape(curve.title)}</title>",
        f'<text x="{LEFT}" y="16" font-size="13">{escape(curve.title)}, {escape(curve.up)}</text>',
        *_grid(across, up),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(curve.across)}</text>",
    ]
    for number, (who, line) in enumerate(curve.lines.items()):
        parts += _line(curve, number, who, [(across.place(x), up.place(y)) for x, y in line])
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """Whole decades, laid between two places."""

    def __init__(self, values: list[float], start: float, end: float) -> None:
        self._first = floor(log10(min(values)) + 1e-9)
        self._last = max(ceil(log10(max(values)) - 1e-9), self._first + 1)
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        share = (log10(value) - self._first) / (self._last - self._first)
        return round(self._start + share * (self._end - self._start), 1)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self._first, self._last + 1)]


def _grid(across: _Axis, up: _Axis) -> list[str]:
    low, high = HEIGHT - BOTTOM, TOP
    parts = []
    for value in across.decades():
        x = across.place(value)
        parts.append(f'<path d="M{x} {low}V{high}" stroke="{GREY}" stroke-opacity=".25"/>')
        parts.append(f'<text x="{x}" y="{low + 16}" text-anchor="middle">{value:,g}</text>')
    for value in up.decades():
        y = up.place(value)
        parts.append(
            f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity=".25"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:,g}</text>')
    return parts


def _line(curve: Curve, number: int, who: str, places: list[tuple[float, float]]) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    dots = [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places]
    exponent = curve.exponents().get(who)
    told = who if exponent is None else f"{who}, exponent {exponent:+.2f}"
    left = LEFT + number * 170
    return [
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *dots,
        f'<text x="{left}" y="31" fill="{colour}">{escape(told)}</text>',
    ]
