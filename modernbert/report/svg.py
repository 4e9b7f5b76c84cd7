"""Static pictures as SVG: scales, axes and marks.

They need no script, print sharply and take the page's colours; SVG's own `title` tells what is under the
pointer. A picture is 440 units wide: its letters can be read on a phone, and two fit beside each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

from markupsafe import Markup

from modernbert.report.templates import render

WIDTH, HEIGHT = 440, 280
RIGHT, TOP, BOTTOM = 14, 28, 42
# Of a digit, about.
DIGIT = 6.8
# Units between two numbers of an axis, at least.
TICK_X, TICK_Y = 70, 45


@dataclass(frozen=True)
class Part:
    """One SVG element; `hover` is shown while the pointer rests on it."""

    tag: str
    attributes: dict[str, Any]
    text: str = ""
    hover: str = ""


@dataclass(frozen=True)
class Style:
    """How a model is drawn in every picture of a page: colour and shape."""

    colour: str
    shape: str

    def mark(self) -> dict[str, str]:
        """Return the attributes of its sign in a legend."""
        return {"d": self.shape, "fill": self.colour}


@dataclass(frozen=True)
class Figure:
    """A picture with its heading and legend (name: attributes of its sign)."""

    label: str
    parts: tuple[Part, ...]
    legend: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    height: float = HEIGHT
    width: float = WIDTH

    def html(self) -> Markup:
        """Return it as safe HTML."""
        return render("figure.html", figure=self)


@dataclass(frozen=True)
class Scale:
    """An axis: where a value lies in the picture.

    Attributes:
        low, high: the values at its ends.
        start, end: where these lie.
        is_log: equal ratios are equally long.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        low, high = (log10(v) if self.is_log else v for v in (self.low, self.high))
        share = ((log10(value) if self.is_log else value) - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, apart: float) -> list[tuple[float, str]]:
        """Return round values that lie `apart` units or more from each other, each as it is written."""
        count = max(2, int(abs(self.end - self.start) / apart))
        if self.is_log:
            return _log_ticks(self.low, self.high, count)
        step = _round_step((self.high - self.low) / count)
        places = max(0, -floor(log10(step)))
        multiples = range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)
        return [(i * step, f"{i * step:,.{places}f}") for i in multiples]


def _round_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten: the smallest that is not much below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= 0.85 * least)


def _log_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [10.0**d * s for d in decades for s in steps]
        inside = [v for v in values if low <= v <= high]
        if len(inside) <= count:
            break
    return [(v, f"{v:,.12g}") for v in inside]


def spread(values: Sequence[float], *, is_log: bool = False) -> tuple[float, float]:
    """Return the ends of an axis that shows these values with a little air around them."""
    low, high = min(values), max(values)
    if is_log:
        return low / 1.3, high * 1.3
    air = 0.06 * (high - low) or max(abs(high) * 0.1, 0.05)
    return low - air, high + air


def axis_x(values: tuple[float, float], *, beside: Scale | None = None, is_log: bool = False) -> Scale:
    """Return a horizontal axis; at its left is room for the numbers of the vertical axis `beside` it."""
    longest = max((len(text) for _, text in beside.ticks(TICK_Y)), default=0) if beside else 0
    return Scale(*values, RIGHT + DIGIT * longest, WIDTH - RIGHT, is_log)


def axis_y(values: tuple[float, float]) -> Scale:
    """Return a vertical axis from the bottom to the top margin."""
    return Scale(*values, HEIGHT - BOTTOM, TOP)


def horizontal(x: Scale, title: str, height: float = HEIGHT, top: float = TOP) -> list[Part]:
    """Draw the x axis: lines from top to bottom, numbers and title below."""
    base = height - BOTTOM
    parts = []
    for value, text in x.ticks(TICK_X):
        at = x(value)
        parts.append(line((at, top), (at, base), kind="grid"))
        parts.append(letters(at, base + 16, text, anchor="middle"))
    return [*parts, letters((x.start + x.end) / 2, height - 7, title, anchor="middle", kind="name")]


def vertical(y: Scale, title: str, x: Scale) -> list[Part]:
    """Draw the y axis: lines from left to right, numbers at the left, the title above."""
    parts = []
    for value, text in y.ticks(TICK_Y):
        at = y(value)
        parts.append(line((x.start, at), (x.end, at), kind="grid"))
        parts.append(letters(x.start - 6, at + 4, text, anchor="end"))
    return [*parts, letters(2, 13, title, kind="name")]


def letters(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "number") -> Part:
    """Write a text that begins, ends or has its middle at a point."""
    return Part("text", {"class": kind, "x": round(x, 1), "y": round(y, 1), "text-anchor": anchor}, text)


def line(start: tuple[float, float], end: tuple[float, float], *, kind: str, colour: str = "") -> Part:
    """Draw a straight line; `kind` is its class on the page."""
    ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    return Part("line", {"class": kind, **ends, **({"stroke": colour} if colour else {})})


def path(points: Sequence[tuple[float, float]], *, kind: str, colour: str = "") -> Part:
    """Draw a line through points."""
    steps = " ".join(f"{x:g},{y:g}" for x, y in points)
    return Part("polyline", {"class": kind, "points": steps, **({"stroke": colour} if colour else {})})


def cloud(points: Sequence[tuple[float, float]], colour: str) -> Part:
    """Draw many points as one element; none tells what it is."""
    steps = "".join(f"M{x:g} {y:g}h0" for x, y in points)
    return Part("path", {"class": "cloud", "d": steps, "stroke": colour})


def sign(at: tuple[float, float], style: Style, hover: str, *, small: bool = False) -> Part:
    """Draw a model's sign at a point."""
    place = f"translate({at[0]:g} {at[1]:g})" + (" scale(.6)" if small else "")
    return Part("path", {"class": "sign", **style.mark(), "transform": place}, hover=hover)
