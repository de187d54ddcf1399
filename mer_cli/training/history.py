"""`history.csv` of a fold: for each epoch its mean training loss, learning rate and seconds. No torch.

Of a classical method: C, the inner folds' UF1 that it was chosen by, and seconds (`methods.history_columns`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mer_cli.errors import RunError

MAY_BE_NAN = ("loss", "inner_uf1")  # where training diverged; where there was nobody to choose by


def write_history(file: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Writes a row for each epoch, counted from 1."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(("epoch", *history[0]))
        writer.writerows((epoch, *row.values()) for epoch, row in enumerate(history, start=1))


def read_history(file: Path, column: str, n_epochs: int) -> list[float]:
    """One column (`methods.history_columns`), a finite number for each epoch but for those that may be NaN.

    Raises
    ------
    RunError
        If the file can't be read or lacks the column, or a row is not the next epoch or no number; it names the line.
    """
    values: list[float] = []
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            missing = [name for name in ("epoch", column) if name not in (reader.fieldnames or ())]
            if missing:
                raise _refused(file, f"{file}: lacks {', '.join(missing)}", f"the columns epoch and {column}")
            for row in reader:
                place = f"{file}, line {reader.line_num}"
                if row["epoch"] != str(len(values) + 1):
                    raise _refused(file, f"{place}: the epoch is {row['epoch']!r}", str(len(values) + 1))
                value = _number(row[column])
                if value is None or not (math.isfinite(value) or column in MAY_BE_NAN):
                    raise _refused(file, f"{place}: {column} is {row[column]!r}", "a finite number")
                values.append(value)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused(file, f"{file}: not readable ({error})", "a table with a row for each epoch") from None
    if len(values) != n_epochs:
        raise _refused(file, f"{file}: has {len(values)} epochs", f"{n_epochs}, as config.json says")
    return values


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _refused(file: Path, what: str, expected: str) -> RunError:
    return RunError(
        f"{what} — expected {expected}. The file was edited or damaged: delete {file.parent} and train again, only "
        "this fold is repeated."
    )
