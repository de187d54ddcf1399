"""Write TensorBoard's event files, one for each fold: `tensorboard --logdir RUN/tensorboard`.

    runs/<name>/tensorboard/<fold>/events.out.tfevents...               a finished fold, whole, from its `history.csv`
    runs/<name>/tensorboard/<fold>.unfinished/events.out.tfevents...    the fold in training, epoch by epoch

The first holds the columns of `history.csv` by epoch, and no accuracy: training doesn't know the held-out labels. The
second stays if the training is killed, and goes when the fold is trained again. TensorBoard is an extra, and its import
takes seconds, so it is loaded only when a log is asked for.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mer_cli.runs.directory import is_finished
from mer_cli.runs.fold_files import read_history
from mer_cli.runs.run_config import GENERATED, RunConfig
from mer_cli.system.files import write_folder
from mer_cli.training.loggers import require

SECONDS_BETWEEN_WRITES = 1  # of the fold in training; torch waits for two minutes otherwise


class TensorBoardLogger:
    """A logger that writes the event file of the fold in training, and replaces it by the whole one at its end.

    It also writes the event files of folds that were finished without it.
    """

    def __init__(self) -> None:
        require_tensorboard("--log tensorboard")
        self.writer: Any = None

    def on_run(self, run: Path, config: RunConfig, n_folds: int) -> None:
        self.run, self.config = run, config
        for folder in sorted((run / "folds").glob("[!.]*")):  # those with a dot are being written
            if is_finished(run, folder.name) and not log_folder(run, folder.name).exists():
                write_log(run, folder.name, config)

    def on_fold(self, fold_id: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.fold_id = fold_id
        folder = _unfinished_folder(self.run, fold_id)
        shutil.rmtree(folder, ignore_errors=True)
        self.writer = SummaryWriter(str(folder), flush_secs=SECONDS_BETWEEN_WRITES)
        if self.config.generated:
            self.writer.add_text("faces", GENERATED)

    def on_epoch(self, epoch: int, loss: float, learning_rate: float | None) -> None:
        self.writer.add_scalar("loss", loss, epoch)
        if learning_rate is not None:
            self.writer.add_scalar("learning_rate", learning_rate, epoch)

    def on_fold_end(self) -> None:
        self._close()
        write_log(self.run, self.fold_id, self.config)

    def on_end(self) -> None:
        self._close()

    def _close(self) -> None:
        """Close the event file of the fold in training, and remove it."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None
            shutil.rmtree(_unfinished_folder(self.run, self.fold_id), ignore_errors=True)


def require_tensorboard(flag: str) -> None:
    """Raise a ConfigError that begins with `flag` if TensorBoard can't be imported, before anything is trained."""
    require(flag, "TensorBoard", "tensorboard")


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
    shutil.rmtree(_unfinished_folder(run, fold_id), ignore_errors=True)  # of a training that was killed


def log_folder(run: Path, fold_id: str) -> Path:
    """Return the folder of a fold's event file."""
    return run / "tensorboard" / fold_id


def _unfinished_folder(run: Path, fold_id: str) -> Path:
    return run / "tensorboard" / f"{fold_id}.unfinished"
