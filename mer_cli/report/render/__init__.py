"""Renders a report in any format, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.report.collect import group_seeds
from mer_cli.report.model import Table
from mer_cli.report.render.data import render_csv, render_json
from mer_cli.report.render.figures import run_figures
from mer_cli.report.render.html import render_html
from mer_cli.report.render.latex import render_latex
from mer_cli.report.render.markdown import render_markdown
from mer_cli.runs.directory import Run
from mer_cli.system.shown_text import visible, visible_json

_RENDERERS: Mapping[str, Callable[[Sequence[Table]], str]] = {
    "markdown": render_markdown,
    "latex": render_latex,
    "csv": render_csv,
    "json": render_json,
}


def render(format: str, tables: Sequence[Table], runs: Sequence[Run], with_images: bool) -> str:
    """Return the tables as text in a format, such as "markdown"; characters that can't be seen are shown as numbers.

    Parameters
    ----------
    format : a key of the renderers, or "html", which has figures of the runs as well
    runs : the runs in the tables
    with_images : whether to embed the images that `mer explain` left in the runs
    """
    if format == "html":
        return visible(render_html(tables, run_figures(group_seeds(runs), with_images)))
    text = _RENDERERS[format](tables)
    return visible_json(text) if format == "json" else visible(text)


def check_format(format: str) -> None:
    """Raise a ConfigError unless a report can be rendered in the format."""
    if format != "html" and format not in _RENDERERS:
        raise ConfigError(f"format: {unknown_name('format', format, ('html', *_RENDERERS))}")


def check_images(format: str, with_images: bool) -> None:
    """Raise a ConfigError if images are asked for in a format that can't hold them."""
    if with_images and format != "html":
        raise ConfigError(
            f"--with-images: --format {format} can't hold images. Add --format html, or leave --with-images out."
        )
