"""Decides which rows of a block compete: of a method with several settings, only its own recipe does.

If you pick the best of several settings by the scores of the held-out subjects, you have chosen on these subjects,
under any epoch rule. So no such row is ranked or bold, and the block says how many settings were tried. Another seed or
machine is not another setting, and neither is another number of inner subjects where these choose the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.evaluation.run_text import is_own_recipe, settings_key
from mer_cli.report.entries import Entry
from mer_cli.report.model import Note

HONEST_WAY = " To choose among them without the held-out subjects: `mer tune`."


@dataclass(frozen=True)
class Tried:
    """What was tried in one block, and what competes there.

    n_settings : number of different settings of each method, by its name; of finished runs only
    competing : directories of the first runs of the entries that compete, by epoch rule
    own : names of the methods whose own recipe is among the settings · tunable : of those that `mer tune` takes
    """

    n_settings: Mapping[str, int]
    competing: Mapping[str, Collection[Path]]
    own: Collection[str]
    tunable: Collection[str]

    def competes(self, entry: Entry, rule: str) -> bool:
        """Return whether an entry is ranked under an epoch rule, and can be bold."""
        return entry.runs[0].path in self.competing.get(rule, ())

    def remark(self, entry: Entry) -> str:
        """Return "one of 4 settings tried" for an entry of a method with several settings, otherwise ""."""
        n_settings = self.n_settings.get(entry.config.model, 1)
        return f"one of {n_settings} settings tried" if n_settings > 1 and _is_try(entry) else ""

    @property
    def notes(self) -> Iterator[Note]:
        """A note for each method with several settings: how many, which is ranked, and how to choose honestly."""
        for method, n_settings in self.n_settings.items():
            if n_settings > 1:
                ranked = "only its own recipe is" if method in self.own else "none is, as its own recipe is not there,"
                instead = HONEST_WAY if method in self.tunable else ""
                yield Note(
                    f"{method}: {n_settings} settings tried on these subjects; {ranked} ranked or bold, because the "
                    f"best of several is chosen by the scores that it is shown with.{instead}"
                )


def tried(entries: Sequence[Entry]) -> Tried:
    """Return what was tried in a block.

    Parameters
    ----------
    entries : the block's entries, all on the same clips
    """
    tries = [entry for entry in entries if _is_try(entry)]
    of_method: dict[str, list[Entry]] = {}
    for entry in tries:
        of_method.setdefault(entry.config.model, []).append(entry)
    rules = dict.fromkeys(rule for entry in tries for rule in entry.rules)
    return Tried(
        n_settings={method: _count(same, "last") for method, same in sorted(of_method.items())},
        competing={
            rule: {
                entry.runs[0].path for same in of_method.values() for entry in _best_known(same, rule) if entry.competes
            }
            for rule in rules
        },
        tunable={method for method, same in of_method.items() if same[0].config.has_epochs},
        own={
            method for method, same in of_method.items() if any(is_own_recipe(entry.config, "last") for entry in same)
        },
    )


def _is_try(entry: Entry) -> bool:
    """Return whether an entry has scores of settings that someone could choose by them."""
    return entry.is_finished and not entry.config.shuffle_labels and not entry.is_stated


def _best_known(same: Sequence[Entry], rule: str) -> list[Entry]:
    """Return the entries of one method that no score has chosen: its only settings, or else its own recipe."""
    scored = [entry for entry in same if rule in entry.rules]
    if _count(scored, rule) == 1:
        return scored
    own = [entry for entry in scored if is_own_recipe(entry.config, rule)]
    return own if _count(own, rule) == 1 else []


def _count(entries: Sequence[Entry], rule: str) -> int:
    return len({settings_key(entry.config) for entry in entries if rule in entry.rules})
