"""Draws lines as SVG, readable on light and on dark pages.

A plotting library would be a dependency of forty megabytes for what follows. Lines differ in their
dashes, too, for those who don't see the colours.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 96  # margins; below the axis is what each line means
STEPS = (1, 2, 5)  # between two ticks, times a power of ten

_LIGHT, _DARK = (
    ("#0072b2", "#b34700", "#00785a", "#a0457f"),
    ("#56b4e9", "#ff9d5c", "#3ddcaa", "#f0a3d2"),
)
_DASHES = ("none", "8 4", "2 4", "10 3 2 3")


class Axis(NamedTuple):
    """From `low` to `high`; on a logarithmic one, both are above 0."""

    label: str
    low: float
    high: float
    is_log: bool = False
    step: float = 0.0  # between two ticks; 0: some round number

    def share(self, value: float) -> float:
        """Where a value is: 0 at the low end, 1 at the high one."""
        if self.is_log:
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values, some five or six of them."""
        if self.is_log:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            steps = STEPS if self.high / self.low <= 1000 else (1,)
            found = [step * 10.0**power for power in powers for step in steps]
            return [value for value in found if self.low <= value <= self.high * 1.0001]
        rough = (self.high - self.low) / 5
        power = 10.0 ** floor(log10(rough))
        step = self.step or min((s * power for s in STEPS), key=lambda size: abs(size - rough))
        first = ceil(self.low / step)
        return [number * step for number in range(first, floor(self.high / step + 0.001) + 1)]


class Line(NamedTuple):
    """Points, connected, or as dots: those that were simulated beside a formula."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dots: bool = False


def draw(title: str, made_by: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """The drawing, up to four lines. `made_by` is the command that made it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>Made by {escape(made_by)}</desc>",
            f"<style>{_style()}</style>",
            '<rect class="page" width="100%" height="100%" rx="8"/>',
            _text(WIDTH / 2, 24, title, "middle"),
            *_axes(x, y),
            *(part for number, line in enumerate(lines) for part in _line(number, line, x, y)),
            "</svg>\n",
        ]
    )


def _style() -> str:
    def colours(page: str, text: str, grid: str, lines: Sequence[str]) -> str:
        each = (
            f".s{number} polyline {{ stroke: {colour} }} .s{number} circle {{ fill: {colour} }}"
            for number, colour in enumerate(lines)
        )
        return "\n".join(
            [f".page {{ fill: {page} }} text {{ fill: {text} }} .grid {{ stroke: {grid} }}", *each]
        )

    dashes = (
        f".s{number} polyline {{ stroke-dasharray: {dash} }}" for number, dash in enumerate(_DASHES)
    )
    return "\n".join(
        [
            "text { font: 13px system-ui, sans-serif }",
            "polyline { fill: none; stroke-width: 2 }",
            *dashes,
            colours("#ffffff", "#1f2328", "#d8dee4", _LIGHT),
            "@media (prefers-color-scheme: dark) {",
            colours("#16181d", "#d8dee9", "#3a3f4b", _DARK),
            "}",
        ]
    )


def _axes(x: Axis, y: Axis) -> Iterator[str]:
    across, up = _places(x, y)
    for value in x.ticks():
        at = across(value)
        yield _rule(at, TOP, at, HEIGHT - BOTTOM)
        yield _text(at, HEIGHT - BOTTOM + 18, f"{value:,.6g}", "middle")
    for value in y.ticks():
        at = up(value)
        yield _rule(LEFT, at, WIDTH - RIGHT, at)
        yield _text(LEFT - 6, at + 4, f"{value:,.6g}", "end")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 38, x.label, "middle")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f' transform="rotate(-90 14 {middle:.0f})"'
    yield _text(14, middle, y.label, "middle", turned)


def _line(number: int, line: Line, x: Axis, y: Axis) -> Iterator[str]:
    across, up = _places(x, y)
    at = [(across(here), up(there)) for here, there in line.points if y.low <= there <= y.high]
    yield f'<g class="s{number}">'
    row, column = divmod(number, 2)
    key, left = HEIGHT - 26 + 18 * row, LEFT + column * (WIDTH - LEFT) // 2
    if line.is_dots:
        dots = [*at, (left + 22, key - 4)]
        yield from (f'<circle cx="{h:.1f}" cy="{v:.1f}" r="4"/>' for h, v in dots)
    else:
        for points in (at, [(left + 8, key - 4), (left + 36, key - 4)]):
            joined = " ".join(f"{h:.1f},{v:.1f}" for h, v in points)
            yield f'<polyline points="{joined}"/>'
    yield "</g>"
    yield _text(left + 42, key, line.name, "start")


def _places(x: Axis, y: Axis) -> tuple[Callable[[float], float], Callable[[float], float]]:
    def across(value: float) -> float:
        return LEFT + x.share(value) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM)

    return across, up


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
