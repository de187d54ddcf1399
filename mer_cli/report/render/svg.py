"""Draws charts as inline SVG, with the colours of the page's style sheet and the page's font.

Every chart has a title, and a description that says the same in words. What a colour shows is also shown by a number,
a line or a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from mer_cli.evaluation.metrics import ClassScores

_NAME_WIDTH = 96  # pixels, as all lengths here
_NAME_LENGTH = 14  # characters that fit into it
_CELL_WIDTH, _CELL_HEIGHT = 70, 42
_FITTING = 5  # a matrix of up to so many classes shrinks to fit a phone; you scroll a larger one
_DEEPEST = 0.6  # opacity of a cell that holds all clips of its row: text stays legible in either theme
_BAR_WIDTH, _BAR_HEIGHT = 200, 13
_PLOT_WIDTH, _PLOT_HEIGHT = 270, 150
_MAX_DOTS = 30  # with more epochs a curve has no dots


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
