"""Table 6 of the paper: methods on CASME II as published, then our runs and the guessers, then generated faces apart.

A number never stands without its protocol, clips, subjects and epoch rule. A run that lacks a fold has no score, and a
row that nobody has measured says which command would.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from mer_cli.evaluation.chance import REPETITIONS, SEED, chance_rows
from mer_cli.evaluation.epoch_rules import RULES, SELECTED_ON_TEST
from mer_cli.evaluation.summary import evaluate, fraction, percent, progress, settings, train_command
from mer_cli.report.collect import RunGroup, group_seeds
from mer_cli.report.published import COMPARATORS, MMNET_ON_CASME2, NOTES, PaperRun, PublishedRow
from mer_cli.report.render import Block, Table
from mer_cli.training.run import Run

_NONE = "–"
_PUBLISHED_COLUMNS = ("Method", "Classes", "Protocol", "Clips", "Subjects", "Epoch rule", "Accuracy %", "F1")
_MEASURED_COLUMNS = (*_PUBLISHED_COLUMNS[:6], "Seeds", "Accuracy %", "F1", "UAR", "Accuracy above `last`")
_MEASURED_NOTES = (
    "All rows: leave one subject out, counts pooled over the folds. F1 is UF1 under `last`. Under `best-test` accuracy "
    "and F1 come from different epochs of one fold, as in the released script, and the UAR is that of F1's epochs.",
    f"Guessers: `majority` says the training clips' commonest class; `prior-random` draws from their class shares anew "
    f"in every epoch, mean of {REPETITIONS} repetitions. Choosing among independent draws is worth more than among the "
    "epochs of one training: an upper bound.",
)
_SEVERAL_SEEDS = "Several seeds: mean ± standard deviation over whole runs, one for each seed."


@dataclass(frozen=True)
class _Protocol:
    """Runs on one set of clips, labels and folds."""

    scheme: str
    name: str
    runs: tuple[Run, ...]


def build_table6(runs: Sequence[Run]) -> Table:
    """Build Table 6 from all runs on CASME II alone under LOSO; other runs are left out.

    Raises
    ------
    RunError
        If two runs share configuration and seed, or a run cannot be scored.
    """
    on_casme2 = [run for run in runs if _is_on_casme2_alone(run)]
    real = [run for run in on_casme2 if not run.config.generated]
    generated = [run for run in on_casme2 if run.config.generated]
    blocks = [_published_block(), _measured_block("Measured here", real, with_missing=True)]
    if generated:
        heading = "Generated faces (not a result on CASME II)"
        blocks.append(_measured_block(heading, generated, with_missing=False))
    return Table("Table 6: methods on CASME II", tuple(blocks))


def left_out(runs: Sequence[Run]) -> list[str]:
    """Give a sentence for each run that Table 6 has no place for."""
    return [
        f"{run.path}: {run.config.protocol_id} is in no table yet — Table 6 takes CASME II alone, leave one subject "
        f"out. Score it: mer evaluate {shlex.quote(str(run.path))}"
        for run in runs
        if not _is_on_casme2_alone(run)
    ]


def _is_on_casme2_alone(run: Run) -> bool:
    return [(store.dataset, store.role) for store in run.config.stores] == [("casme2", "loso")]


def _published_block() -> Block:
    marks: dict[str, str] = {}
    for row in (*COMPARATORS, *(paper.row for paper in MMNET_ON_CASME2)):
        for note in row.notes:
            marks.setdefault(note, chr(ord("a") + len(marks)))
    rows = [_published_row(row, marks, _NONE, _NONE) for row in COMPARATORS]
    rows += [_published_row(paper.row, marks, paper.protocol_id, str(paper.n_subjects)) for paper in MMNET_ON_CASME2]
    notes = (
        "As printed in the paper, all said to be leave one subject out. Clips: the number that the accuracy fits. F1: "
        "seldom defined, mostly macro F1 of pooled counts. Different clip sets do not compare.",
        *(f"({mark}) {NOTES[note]}" for note, mark in marks.items()),
    )
    return Block("As published", _PUBLISHED_COLUMNS, tuple(rows), notes)


def _published_row(row: PublishedRow, marks: dict[str, str], protocol: str, n_subjects: str) -> tuple[str, ...]:
    marked = " ".join([row.method, *(f"({marks[note]})" for note in row.notes)])
    return (marked, str(row.n_classes), protocol, row.clips, n_subjects, row.epoch_rule, row.accuracy, row.f1)


def _measured_block(heading: str, runs: list[Run], *, with_missing: bool) -> Block:
    rows: list[tuple[str, ...]] = []
    run_notes: list[str] = []
    protocols = _protocols(runs)
    for paper in MMNET_ON_CASME2 if with_missing else ():
        if not any(protocol.scheme == paper.scheme for protocol in protocols):
            rows.append(_missing_row(paper))
    for protocol in protocols:
        groups = group_seeds([run for run in protocol.runs if not run.missing])
        for group in groups:
            run_notes.append(_run_note(len(run_notes) + 1, group.runs))
            rows += _group_rows(group, protocol.name, len(run_notes))
        for run in sorted((run for run in protocol.runs if run.missing), key=lambda run: (run.path.name, run.path)):
            run_notes.append(_run_note(len(run_notes) + 1, (run,)))
            rows.append(_incomplete_row(run, protocol.name, len(run_notes)))
        rows += _chance_rows(protocol)
    has_seeds = any("±" in cell for row in rows for cell in row)
    notes = (*_MEASURED_NOTES, *([_SEVERAL_SEEDS] if has_seeds else []), *run_notes)
    return Block(heading, _MEASURED_COLUMNS, tuple(rows), notes)


def _protocols(runs: Sequence[Run]) -> list[_Protocol]:
    """Group runs by clips, labels and folds: the paper's schemes in its order, then the others by name."""
    order = {paper.scheme: index for index, paper in enumerate(MMNET_ON_CASME2)}

    def key(run: Run) -> tuple[object, ...]:
        clips = sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items())
        config = run.config
        return (order.get(config.scheme, len(order)), config.protocol_id, _table_version(run), clips)

    protocols = []
    for _, members in groupby(sorted(runs, key=key), key=key):
        same = tuple(members)
        config, version = same[0].config, _table_version(same[0])
        table = f"table {version}" if version else "unknown table"
        protocols.append(_Protocol(config.scheme, f"{config.protocol_id}, {table}", same))
    return protocols


def _table_version(run: Run) -> str:
    (store,) = run.config.stores
    return store.table_version


def _group_rows(group: RunGroup, protocol: str, number: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each rule, `last` first; its last cell is what the rule adds to the accuracy."""
    run = group.runs[0]
    by_rule = {rule: [evaluate(seed_run, rule) for seed_run in group.runs] for rule in RULES}
    honest = float(np.mean([scores.accuracy for scores in by_rule["last"]]))
    for rule, scores in by_rule.items():
        accuracies = [score.accuracy for score in scores]
        yield (
            f"{_method(run)} ({number})",
            str(len(run.class_names)),
            protocol,
            str(scores[0].n_clips),
            str(scores[0].n_subjects),
            _rule_name(rule, scores[0].n_epochs),
            ", ".join(map(str, group.seeds)),
            _spread(accuracies, percent),
            _spread([score.uf1 for score in scores], fraction),
            _spread([score.uar for score in scores], fraction),
            _over(float(np.mean(accuracies)), honest, rule),
        )


def _chance_rows(protocol: _Protocol) -> Iterator[tuple[str, ...]]:
    run = protocol.runs[0]
    for n_epochs in sorted({run.config.epochs for run in protocol.runs}):
        honest: dict[str, float] = {}
        for rule in RULES:
            for row in chance_rows(rule, run.labels, run.fold_of, n_epochs, len(run.class_names)):
                honest.setdefault(row.name, row.accuracy)
                yield (
                    f"chance: {row.name}",
                    str(len(run.class_names)),
                    protocol.name,
                    str(len(run.labels)),
                    str(len(set(run.fold_of.values()))),
                    _rule_name(rule, n_epochs),
                    _NONE if row.name == "majority" else str(SEED),
                    percent(row.accuracy),
                    fraction(row.uf1),
                    fraction(row.uar),
                    _over(row.accuracy, honest[row.name], rule),
                )


def _missing_row(paper: PaperRun) -> tuple[str, ...]:
    command = f"not measured yet: `mer train --loso --scheme {paper.scheme}`"
    identity = ("MMNet", str(paper.row.n_classes), paper.protocol_id, paper.row.clips, str(paper.n_subjects))
    return (*identity, _NONE, _NONE, command, _NONE, _NONE, _NONE)


def _incomplete_row(run: Run, protocol: str, number: int) -> tuple[str, ...]:
    state = f"incomplete, {progress(run)}: `{train_command(run)}` continues"
    n_subjects = str(len(run.folds) + len(run.missing))
    identity = (f"{_method(run)} ({number})", str(len(run.class_names)), protocol, str(len(run.labels)), n_subjects)
    return (*identity, _NONE, str(run.config.seed), state, _NONE, _NONE, _NONE)


def _method(run: Run) -> str:
    name = {"mmnet": "MMNet"}.get(run.config.model, run.config.model)
    return f"{name}, {settings(run.config)}"


def _run_note(number: int, runs: Sequence[Run]) -> str:
    return f"({number}) {', '.join(f'`{run.path.name}`' for run in runs)}"


def _rule_name(rule: str, n_epochs: int) -> str:
    if rule == "last":
        return f"last (epoch {n_epochs})"
    return f"{rule} of {n_epochs} epochs, **{SELECTED_ON_TEST}**"


def _spread(values: Sequence[float], text: Callable[[float], str]) -> str:
    mean = text(float(np.mean(values)))
    return mean if len(values) == 1 else f"{mean} ± {text(float(np.std(values, ddof=1)))}"


def _over(accuracy: float, honest: float, rule: str) -> str:
    return _NONE if rule == "last" else f"{100 * (accuracy - honest):+.2f}"
