"""What is noted of the folds of a run that failed: `failed/<fold>.json`, with the error and the place of its log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from mer_cli.errors import shortened
from mer_cli.runs.directory import is_finished
from mer_cli.system.documents import read_json
from mer_cli.system.files import write_text

FOLDER = "failed"
LONGEST = 4000  # characters of an error or a path; the log has all


_Text = Annotated[str, Field(max_length=LONGEST + len("..."))]


@dataclass(frozen=True)
class Failure:
    """What is noted of a fold that failed.

    times : how often it has failed · error : of the last time · log : path of the last log, "" if there is none
    host : name of the machine that computed it · noted : when, in seconds since 1970, by the clock of who noted it
    """

    times: Annotated[int, Field(gt=0, le=1 << 20)]
    error: _Text
    log: _Text
    host: _Text
    noted: Annotated[float, Field(allow_inf_nan=False)]


_FAILURE = TypeAdapter(Failure)


def note_failure(run: Path, fold: str, error: str, log: str = "", host: str = "") -> int:
    """Note that a fold failed; return how often it has failed since its failures were last forgotten.

    Raises
    ------
    RunError
        If the disk is full or the folder can't be written to; the fold couldn't be written, either.
    """
    file = _file_of(run, fold)
    earlier = _read(file)
    times = earlier.times + 1 if earlier else 1
    failure = Failure(times, _kept(error), _kept(log), _kept(host), time.time())
    write_text(file, json.dumps(asdict(failure), indent=2) + "\n")
    return times


def read_failures(run: Path) -> dict[str, Failure]:
    """Return what is noted of the folds of a run that failed and are not finished; what can't be read is left out."""
    try:
        files = sorted(file for file in (run / FOLDER).iterdir() if file.suffix == ".json")
    except OSError:
        return {}
    noted = {file.stem: _read(file) for file in files if not is_finished(run, file.stem)}
    return {fold: failure for fold, failure in noted.items() if failure}


def forget_failures(run: Path, folds: Iterable[str]) -> None:
    """Remove what is noted of the folds, which will be tried again; what can't be removed stays."""
    for fold in folds:
        with suppress(OSError):
            _file_of(run, fold).unlink(missing_ok=True)


def _file_of(run: Path, fold: str) -> Path:
    return run / FOLDER / f"{fold}.json"


def _read(file: Path) -> Failure | None:
    try:
        return _FAILURE.validate_python(read_json(file))
    except (OSError, ValueError, ValidationError):
        return None


def _kept(text: str) -> str:
    """Return a text as it is noted; a character of a path that is not Unicode becomes a question mark."""
    return shortened(text.encode(errors="replace").decode(), LONGEST)
