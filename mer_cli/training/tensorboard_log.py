"""Write TensorBoard's event files, one for each finished fold, from its `history.csv`: `tensorboard --logdir RUN`.

    runs/<name>/tensorboard/<fold>/events.out.tfevents...

Each holds the columns of that table by epoch, and no accuracy: training doesn't know the held-out labels. TensorBoard
is an extra, and its import takes seconds, so it is loaded only when a log is asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from mer_cli.errors import ConfigError
from mer_cli.runs.directory import read_history
from mer_cli.runs.run_config import GENERATED, RunConfig
from mer_cli.system.files import write_folder


def require_tensorboard() -> None:
    """Raise a ConfigError if TensorBoard can't be imported, before anything is trained."""
    try:
        importlib.import_module("tensorboard")
    except ImportError as error:
        raise ConfigError(
            f"--tensorboard: TensorBoard can't be imported ({error}). Install it: pip install 'mer-cli[tensorboard]'. "
            "Or leave the flag out: history.csv has the same numbers."
        ) from None


def write_log(run: Path, fold_id: str, config: RunConfig) -> None:
    """Write the event file of a finished fold, whole or not at all, and replace an earlier one.

    If the run is on generated faces, the text `faces` in the file says so.

    Raises
    ------
    RunError
        If the fold's history can't be read, or the disk is full.
    """
    from torch.utils.tensorboard import SummaryWriter

    file = run / "folds" / fold_id / "history.csv"
    curves = {name: read_history(file, name, config.epochs) for name in config.method.history_columns}

    def fill(partial: Path) -> None:
        with SummaryWriter(str(partial)) as writer:
            if config.generated:
                writer.add_text("faces", GENERATED)
            for name, values in curves.items():
                for epoch, value in enumerate(values, start=1):
                    writer.add_scalar(name, value, epoch)

    write_folder(log_folder(run, fold_id), fill, replace=True)


def log_folder(run: Path, fold_id: str) -> Path:
    """Return the folder of a fold's event file."""
    return run / "tensorboard" / fold_id
