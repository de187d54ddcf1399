"""Draws charts as inline SVG, with the colours of the page's style sheet and the page's font.

Every chart has a title, and a description that says the same in words. What a colour shows is also shown by a number,
a line or a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mer_cli.evaluation.metrics import ClassScores

_NAME_WIDTH = 96  # pixels, as all lengths here
_NAME_LENGTH = 14  # characters that fit into it
_CELL_WIDTH, _CELL_HEIGHT = 70, 42
_FITTING = 5  # a matrix of up to so many classes shrinks to fit a phone; you scroll a larger one
_DEEPEST = 0.6  # opacity of a cell that holds all clips of its row: text stays legible in either theme
_BAR_WIDTH, _BAR_HEIGHT = 200, 13
_PLOT_WIDTH, _PLOT_HEIGHT = 270, 150
_MAX_DOTS = 30  # with more epochs a curve has no dots
_TIMELINE_WIDTH, _LANE_HEIGHT, _TRACE_HEIGHT = 960, 22, 110
_MAX_POINTS = 480  # of a curve over time: the largest value of each two pixels is drawn


def confusion_chart(key: str, title: str, class_names: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Draw a confusion matrix, rows true, columns predicted; a cell has the count and its share of the row.

    Parameters
    ----------
    key : prefix of the ids in the SVG, unique in the page
    """
    top, left = 44, _NAME_WIDTH
    parts = [_text(left + len(class_names) * _CELL_WIDTH / 2, 14, "predicted", "faint middle")]
    parts += [_text(left - 8, top - 8, "true", "faint end")]
    said = []
    for row, (name, of_row) in enumerate(zip(class_names, counts, strict=True)):
        n_clips = sum(of_row)
        y = top + row * _CELL_HEIGHT
        parts.append(_text(left + (row + 0.5) * _CELL_WIDTH, top - 8, _short(name, 10), "middle", name))
        parts.append(_text(left - 8, y + _CELL_HEIGHT / 2 + 4, _short(name, _NAME_LENGTH), "end", name))
        said.append(f"Of {n_clips} clips of {name}, " + _listed(class_names, of_row) + ".")
        for column, count in enumerate(of_row):
            x, share = left + column * _CELL_WIDTH, count / n_clips if n_clips else 0.0
            parts.append(
                Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>').format(
                    "cell right" if row == column else "cell",
                    x + 1.5,
                    y + 1.5,
                    _CELL_WIDTH - 3,
                    _CELL_HEIGHT - 3,
                    f"{_DEEPEST * share:.3f}",
                )
            )
            parts.append(_text(x + _CELL_WIDTH / 2, y + 20, str(count), "middle strong"))
            parts.append(_text(x + _CELL_WIDTH / 2, y + 34, f"{share:.0%}", "middle small"))
    size = (left + len(class_names) * _CELL_WIDTH + 4, top + len(class_names) * _CELL_HEIGHT + 4)
    return _chart(key, title, " ".join(said), size, parts, keeps_size=len(class_names) > _FITTING)


def class_chart(key: str, title: str, class_names: Sequence[str], classes: Sequence[ClassScores]) -> Markup:
    """Draw recall (filled) and F1 (hatched) of each class as bars from 0 to 1."""
    top, pitch = 26, 2 * _BAR_HEIGHT + 14
    bottom = top + len(class_names) * pitch
    parts = [
        Markup(
            '<defs><pattern id="{}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect class="hatch" width="2.5" height="6"/></pattern></defs>'
        ).format(key)
    ]
    for share in (0, 0.5, 1):
        x = _NAME_WIDTH + share * _BAR_WIDTH
        parts += [_line(x, top - 6, x, bottom, "grid"), _text(x, 14, f"{share:g}", "faint middle")]
    said = []
    for place, (name, scores) in enumerate(zip(class_names, classes, strict=True)):
        y = top + place * pitch
        said.append(f"{name}: recall {scores.recall:.2f}, F1 {scores.f1:.2f}.")
        parts.append(_text(_NAME_WIDTH - 8, y + _BAR_HEIGHT + 4, _short(name, _NAME_LENGTH), "end", name))
        for line, (measure, value) in enumerate((("recall", scores.recall), ("F1", scores.f1))):
            bar_y = y + line * (_BAR_HEIGHT + 2)
            fill = Markup(' fill="url(#{}-hatch)"').format(key) if line else ""
            parts.append(
                Markup('<rect class="bar{}"{} x="{}" y="{}" width="{}" height="{}"/>').format(
                    " hatched" if line else "",
                    fill,
                    _NAME_WIDTH,
                    bar_y,
                    f"{_BAR_WIDTH * value:.1f}",
                    _BAR_HEIGHT,
                )
            )
            parts.append(_text(_NAME_WIDTH + _BAR_WIDTH + 8, bar_y + 11, f"{value:.2f} {measure}", "small"))
    return _chart(key, title, " ".join(said), (_NAME_WIDTH + _BAR_WIDTH + 76, bottom + 2), parts)


def curve_chart(key: str, title: str, values: Sequence[float], *, in_percent: bool) -> Markup:
    """Draw a curve of one value for each epoch, with the last value marked and written out.

    A value that is not finite, such as a loss that diverged, is left out of the line.

    Parameters
    ----------
    in_percent : whether the values are shares, drawn from 0 to 100 %; else the axis ends above the largest value
    """
    left, top = 44, 12
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    step = 0.25 if in_percent else _step(max(finite))
    n_steps = 4 if in_percent else max(1, math.ceil(max(finite) / step))

    def spell(value: float) -> str:
        return f"{value:.0%}" if in_percent else f"{value:.3g}"

    def x_of(index: int) -> float:
        return left + (index / (len(values) - 1) if len(values) > 1 else 0.5) * _PLOT_WIDTH

    points = [
        (x_of(index), top + (1 - value / (n_steps * step)) * _PLOT_HEIGHT)
        for index, value in enumerate(values)
        if math.isfinite(value)
    ]
    parts = []
    for tick in range(n_steps + 1):
        y = top + (1 - tick / n_steps) * _PLOT_HEIGHT
        parts += [
            _line(left, y, left + _PLOT_WIDTH, y, "grid"),
            _text(left - 6, y + 4, spell(tick * step), "faint end"),
        ]
    for index in sorted({0, (len(values) - 1) // 2, len(values) - 1}):
        parts.append(_text(x_of(index), top + _PLOT_HEIGHT + 16, str(index + 1), "faint middle"))
    parts.append(_text(left + _PLOT_WIDTH / 2, top + _PLOT_HEIGHT + 31, "epoch", "faint middle"))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts.append(Markup('<polyline class="curve" points="{}"/>').format(path))
    dots = points if len(points) <= _MAX_DOTS else []
    parts += [Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(x, y) for x, y in dots]
    if math.isfinite(values[-1]):
        x, y = points[-1]
        parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x, y))
        parts.append(_text(left + _PLOT_WIDTH + 10, y + 4, spell(values[-1]), "strong"))
    said = f"First epoch {spell(values[0])}, last of {len(values)} {spell(values[-1])}, "
    said += f"lowest {spell(min(finite))}, highest {spell(max(finite))}."
    return _chart(key, title, said, (left + _PLOT_WIDTH + 60, top + _PLOT_HEIGHT + 36), parts)


def probability_chart(
    key: str,
    class_names: Sequence[str],
    probabilities: Sequence[float],
    spread: Sequence[float] | None,
    what: str = "class",
) -> Markup:
    """Draw the probability of each class as a bar from 0 to 1, with a line for its spread over several networks.

    Parameters
    ----------
    what : what the names are of, for the chart's title
    """
    top, pitch = 26, _BAR_HEIGHT + 10
    bottom = top + len(class_names) * pitch
    parts = []
    for share in (0, 0.5, 1):
        x = _NAME_WIDTH + share * _BAR_WIDTH
        parts += [_line(x, top - 6, x, bottom, "grid"), _text(x, 14, f"{share:.0%}", "faint middle")]
    said = []
    for place, (name, value) in enumerate(zip(class_names, probabilities, strict=True)):
        y = top + place * pitch
        parts.append(_text(_NAME_WIDTH - 8, y + 11, _short(name, _NAME_LENGTH), "end", name))
        parts.append(
            Markup('<rect class="bar" x="{}" y="{}" width="{:.1f}" height="{}"/>').format(
                _NAME_WIDTH, y, _BAR_WIDTH * value, _BAR_HEIGHT
            )
        )
        text = f"{value:.0%}"
        if spread:
            low, high = (_NAME_WIDTH + _BAR_WIDTH * min(max(value + sign * spread[place], 0), 1) for sign in (-1, 1))
            parts.append(_line(low, y + _BAR_HEIGHT / 2, high, y + _BAR_HEIGHT / 2, "whisker"))
            text += f" ±{spread[place]:.0%}"
        parts.append(_text(_NAME_WIDTH + _BAR_WIDTH + 8, y + 11, text, "small"))
        said.append(f"{name} {text}.")
    return _chart(
        key, f"Probability of each {what}", " ".join(said), (_NAME_WIDTH + _BAR_WIDTH + 76, bottom + 2), parts
    )


@dataclass(frozen=True)
class Stretch:
    """A part of a timeline, from `start` to `end` in seconds, with its name; a strong one stands out."""

    start: float
    end: float
    name: str
    is_strong: bool


def timeline_chart(
    key: str,
    title: str,
    seconds: NDArray[np.floating[Any]],
    curves: Sequence[tuple[str, NDArray[np.floating[Any]]]],
    lanes: Sequence[tuple[str, Sequence[Stretch]]],
) -> Markup:
    """Draw curves over the time of a recording, and below them lanes with stretches of it.

    Parameters
    ----------
    seconds : (T,), ascending
    curves : a name and (T,) values in pixels of the crop, from 0; where a value is not finite the line is broken
    lanes : a name and its stretches
    """
    left, top = _NAME_WIDTH, 30
    end = float(seconds[-1]) if len(seconds) and seconds[-1] > 0 else 1.0
    finite = np.concatenate([values[np.isfinite(values)] for _, values in curves])
    largest = float(np.quantile(finite, 0.995)) if finite.size else 1.0  # a cut would flatten all else
    largest = largest if largest > 0 else 1.0

    def x_of(second: float) -> float:
        return left + min(max(second / end, 0), 1) * _TIMELINE_WIDTH

    parts = []
    bottom = top + _TRACE_HEIGHT + len(lanes) * _LANE_HEIGHT
    step = _step(end)
    for tick in range(int(end / step) + 1):
        x = x_of(tick * step)
        parts += [_line(x, top, x, bottom, "grid"), _text(x, bottom + 15, f"{tick * step:g} s", "faint middle")]
    parts += [
        _text(left - 8, top + 10, f"{largest:.2g} px", "faint end"),
        _text(left - 8, top + _TRACE_HEIGHT, "0", "faint end"),
    ]
    said = [f"{end:.1f} seconds."]
    for place, (name, values) in enumerate(curves):
        for points in _traces(seconds, values):
            shown = " ".join(f"{x_of(x):.1f},{top + (1 - min(y / largest, 1)) * _TRACE_HEIGHT:.1f}" for x, y in points)
            parts.append(Markup('<polyline class="{}" points="{}"/>').format("other" if place else "curve", shown))
        x = left + place * 260
        parts.append(_line(x, 12, x + 24, 12, "other" if place else "curve"))
        parts.append(_text(x + 30, 16, name, "small"))
    for place, (name, stretches) in enumerate(lanes):
        y = top + _TRACE_HEIGHT + place * _LANE_HEIGHT
        parts.append(_text(left - 8, y + 15, name, "end"))
        said.append(f"{name}: {len(stretches)}.")
        for each in stretches:
            width = max(x_of(each.end) - x_of(each.start), 3)
            parts.append(
                Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>').format(
                    "stretch strong" if each.is_strong else "stretch",
                    x_of(each.start),
                    y + 4,
                    width,
                    _LANE_HEIGHT - 7,
                    f"{each.name}, {each.start:.2f} to {each.end:.2f} s",
                )
            )
    return _chart(key, title, " ".join(said), (left + _TIMELINE_WIDTH + 30, bottom + 22), parts, keeps_size=True)


def _traces(seconds: NDArray[np.floating[Any]], values: NDArray[np.floating[Any]]) -> list[list[tuple[float, float]]]:
    """Return the points of a curve, the largest value of each part of the time, as lines without gaps."""
    traces: list[list[tuple[float, float]]] = [[]]
    n_parts = min(len(seconds), _MAX_POINTS)
    parts = (np.array_split(each, n_parts) if n_parts else [] for each in (seconds, values))
    for part, of_part in zip(*parts, strict=True):
        if np.isfinite(of_part).any():
            traces[-1].append((float(part[0]), float(np.nanmax(of_part))))
        elif traces[-1]:
            traces.append([])
    return [trace for trace in traces if trace]


def _chart(
    key: str,
    title: str,
    description: str,
    size: tuple[float, float],
    parts: Sequence[Markup],
    *,
    keeps_size: bool = False,
) -> Markup:
    width, height = size
    return Markup(
        '<svg class="chart{kind}" role="img" aria-labelledby="{key}-title {key}-desc" width="{width}" '
        'height="{height}" viewBox="0 0 {width} {height}"><title id="{key}-title">{title}</title>'
        '<desc id="{key}-desc">{description}</desc>{parts}</svg>'
    ).format(
        kind=" keeps-size" if keeps_size else "",
        key=key,
        width=width,
        height=height,
        title=title,
        description=description,
        parts=Markup("").join(parts),
    )


def _text(x: float, y: float, text: str, kind: str, whole: str = "") -> Markup:
    """Draw text at (x, y); if it was cut, `whole` is the full text, shown when you point at it."""
    hint = Markup("<title>{}</title>").format(whole) if whole and whole != text else ""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}{}</text>').format(kind, x, y, text, hint)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _short(text: str, n_characters: int) -> str:
    return text if len(text) <= n_characters else f"{text[: n_characters - 1]}…"


def _listed(class_names: Sequence[str], counts: Sequence[int]) -> str:
    return ", ".join(f"{count} as {name}" for name, count in zip(class_names, counts, strict=True))


def _step(largest: float) -> float:
    """Return a round distance of ticks (1, 2 or 5 times a power of ten): at most five ticks reach the largest value."""
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest / 5))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if 5 * factor * power >= largest)
