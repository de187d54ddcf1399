"""Says when unlike machines trained the folds of a run, so that last digits may differ. Nothing is scored here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mer_cli.evaluation.epoch_rules import folds_of
from mer_cli.runs.directory import Run
from mer_cli.runs.fold_files import FoldFacts

# The facts that can change a number, in the order in which they are named, each with its words. A kernel or the name
# of a machine changes none.
WORDS = {
    "device": "{}",
    "instructions": "{} instructions",
    "threads": "{} threads",
    "system": "{}",
    "python": "Python {}",
    "torch": "torch {}",
    "numpy": "NumPy {}",
    "scikit-learn": "scikit-learn {}",
    "mer": "mer {}",
}
MOST_NAMED = 4  # kinds of machines that a sentence names


@dataclass(frozen=True)
class MachineKind:
    """The folds of a run that like machines trained, and the facts by which these differ from its other machines."""

    facts: FoldFacts
    folds: tuple[str, ...]


def unlike_machines(run: Run, dataset: str | None = None) -> tuple[MachineKind, ...]:
    """Return the kinds of machines that trained a run's folds, the one with most folds first; none if all are alike.

    Folds that recorded no machine are left out. Only facts that all others recorded are compared.

    Parameters
    ----------
    dataset : compare the folds of this test dataset only; all folds if left out
    """
    found = {fold.fold: run.machines[fold.fold] for fold in folds_of(run, dataset) if fold.fold in run.machines}
    known = [name for name in WORDS if all(name in facts for facts in found.values())]
    differing = [name for name in known if len({facts[name] for facts in found.values()}) > 1]
    kinds: dict[tuple[str | int, ...], list[str]] = {}
    for fold, facts in found.items():
        kinds.setdefault(tuple(facts[name] for name in differing), []).append(fold)
    if len(kinds) < 2:
        return ()
    made = (MachineKind(dict(zip(differing, values, strict=True)), tuple(folds)) for values, folds in kinds.items())
    return tuple(sorted(made, key=lambda kind: (-len(kind.folds), kind.folds)))


def machines_text(kinds: Sequence[MachineKind]) -> str:
    """Return in words how many folds each kind of machine trained; "" if there is at most one kind.

    For example: "20 folds on AMD EPYC 7763, 4 threads; 6 folds on Intel Xeon, 8 threads".
    """
    if len(kinds) < 2:
        return ""
    named = kinds if len(kinds) <= MOST_NAMED + 1 else kinds[:MOST_NAMED]
    parts = [f"{_folds(len(kind.folds))} {_described(kind.facts)}" for kind in named]
    rest = sum(len(kind.folds) for kind in kinds[len(named) :])
    if rest:
        parts.append(f"{_folds(rest)} on {len(kinds) - len(named)} other kinds of machines")
    return "; ".join(parts)


def _folds(number: int) -> str:
    return "1 fold" if number == 1 else f"{number} folds"


def _described(facts: FoldFacts) -> str:
    """Return the facts in words: "on AMD EPYC 7763, 4 threads", "with torch 2.14.1"."""
    words = (
        "1 thread" if (name, value) == ("threads", 1) else WORDS[name].format(value) for name, value in facts.items()
    )
    return f"{'on' if facts.keys() & {'device', 'system'} else 'with'} {', '.join(words)}"
