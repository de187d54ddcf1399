"""A report as a Python object, which a notebook shows and which can be saved in any format."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from mer_cli.report.build import Report, build_report, read_stores, table_ids
from mer_cli.report.collect import collect_runs
from mer_cli.report.exports import write_report
from mer_cli.report.model import ALL
from mer_cli.report.render import check_format, check_images, render
from mer_cli.runs.directory import DEFAULT_ROOT, Run

FRAME = '<iframe srcdoc="{}" style="width: 100%; height: 40em; border: 0"></iframe>'


@dataclass(frozen=True)
class RunReport:
    """The tables of a report with your runs beside the published numbers.

    notes : a sentence on the runs that only other tables have a place for
    """

    format: str
    with_images: bool
    built: Report = field(repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.built.notes

    @property
    def text(self) -> str:
        """The report in its format."""
        return self._render(self.format, with_images=self.with_images)

    def save(self, path: str | Path) -> Path:
        """Write the report into a file, whose folder is made if it is absent; return the file's path.

        Raises
        ------
        RunError
            If it can't be written.
        """
        write_report(Path(path), self.text)
        return Path(path)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        page = self._render("html", with_images=self.format == "html" and self.with_images)
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.notes)
        return FRAME.format(escape(page)) + notes

    def _render(self, format: str, *, with_images: bool) -> str:
        return render(format, self.built.tables, self.built.runs, with_images)


def report(
    runs: Run | str | Path | Iterable[Run | str | Path] | None = None,
    *,
    format: str = "html",
    table: str = ALL,
    with_images: bool = False,
) -> RunReport:
    """Return a report of runs: the paper's tables, and all methods of each protocol, with chance beside them.

    Parameters
    ----------
    runs : run directories, folders that hold some, or runs that were read; everything in runs/ if left out
    format : "html", "markdown", "latex", "csv" or "json"
    table : "summary", "1" to "7" (the paper's), "methods", or "all"
    with_images : add to HTML the images that `mer explain` wrote into the runs

    Raises
    ------
    ConfigError
        If the format or a table is unknown.
    RunError
        If a run that you named can't be read, or two runs share configuration and seed.
    """
    check_format(format)
    check_images(format, with_images)
    ids = table_ids(table)
    return RunReport(format, with_images, build_report(ids, _read(runs), read_stores(ids)))


def _read(runs: Run | str | Path | Iterable[Run | str | Path] | None) -> list[Run]:
    """Return the runs; warn of those in a folder that can't be read."""
    given = [runs] if isinstance(runs, Run | str | Path) else list(runs or ())
    read = [each for each in given if isinstance(each, Run)]
    places = [Path(each) for each in given if not isinstance(each, Run)]
    if places or runs is None:
        found = collect_runs(places or Path(DEFAULT_ROOT))
        for sentence in (*found.outdated, *found.damaged):
            warnings.warn(sentence, stacklevel=3)
        read += found.runs
    return read
