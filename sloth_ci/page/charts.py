"""Small drawings: where the points of a sparkline are."""

from collections.abc import Sequence

WIDTH, HEIGHT = 100.0, 20.0


def sparkline(values: Sequence[float | None]) -> str:
    """The points of an SVG polyline through the values that are known, from left to right.

    '' for fewer than two. The drawing is `WIDTH` by `HEIGHT`, its ground line stands for 0.
    """
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    step = WIDTH / (len(values) - 1)
    top = max(value for _place, value in known) or 1.0
    return " ".join(
        f"{place * step:.1f},{HEIGHT - 1 - (HEIGHT - 2) * value / top:.1f}"
        for place, value in known
    )
