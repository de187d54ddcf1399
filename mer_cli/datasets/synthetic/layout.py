"""What a generated release's module says of it, as data, and the plan of a release of any size that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mer_cli.datasets.synthetic.plan import ClipPlan, Draft, Pace, draft_clip
from mer_cli.datasets.synthetic.roster import Pairs, equal_numbers, in_proportion
from mer_cli.datasets.synthetic.spreadsheet import Sheets
from mer_cli.datasets.synthetic.view import View
from mer_cli.errors import ConfigError, unknown_name

MOST_SUBJECTS = 99


@dataclass(frozen=True)
class GeneratedLayout:
    """One release that can be generated.

    name, title : "samm", "SAMM"
    subjects : the real release's, by number
    subject_id : how a number is written: "{:03d}"
    emotions : the real release's clips by emotion, in the words of the schemes
    pace : frames a second and lengths
    roster : subject and emotion of each clip at the real size
    place : the clips, in the table's order, out of drafts that are sorted by subject
    first_person : added to a subject's number for the face, since no two datasets show the same people
    folder : the folder of pictures, relative to the release
    view : how a drawn face is shown, None as it is drawn
    table : the coding table, relative to the release; "" for a release without one
    sheets : what the coding table holds
    """

    name: str
    title: str
    subjects: tuple[int, ...]
    subject_id: str
    emotions: Mapping[str, int]
    pace: Pace
    roster: Callable[[np.random.Generator], Pairs]
    place: Callable[[Sequence[Draft]], list[ClipPlan]]
    folder: str
    first_person: int
    view: View | None = None
    table: str = ""
    sheets: Callable[[Sequence[ClipPlan]], Sheets] | None = None

    @property
    def n_clips(self) -> int:
        """Clips of the real release."""
        return sum(self.emotions.values())

    def plan(
        self,
        *,
        subjects: int | None = None,
        clips: int | None = None,
        seed: int = 0,
        intensity: float = 1.0,
        emotions: Sequence[str] | None = None,
    ) -> list[ClipPlan]:
        """Plans a release, in the order of its table.

        Parameters
        ----------
        subjects, clips : how many, the clips of all subjects together; None takes the real release's
        intensity : factor on the motion; 1 peaks at 1-3 pixels
        emotions : only these, in equal numbers; None takes all, in the real release's proportions

        Raises
        ------
        ConfigError
            If a value can't be used.
        """
        n_subjects = len(self.subjects) if subjects is None else subjects
        n_clips = self.n_clips if clips is None else clips
        self._check(n_subjects, n_clips, intensity, emotions)
        rng = np.random.default_rng([seed, 0])
        people = self._people(n_subjects)
        if emotions:
            pairs = equal_numbers(people, n_clips, emotions)
        elif (n_subjects, n_clips) == (len(self.subjects), self.n_clips):
            pairs = self.roster(rng)
        else:
            pairs = in_proportion(people, n_clips, self.emotions, rng)
        drafts = []
        taken: dict[int, int] = {}
        for subject, emotion in sorted(pairs, key=lambda pair: pair[0]):
            order = taken[subject] = taken.get(subject, 0) + 1
            person = self.first_person + subject
            drafts.append(draft_clip(seed, subject, person, order, emotion, self.pace, intensity))
        return self.place(drafts)

    def _people(self, n_subjects: int) -> list[int]:
        """The release's own subjects, and more of the kind after them."""
        spare = range(max(self.subjects) + 1, max(self.subjects) + 1 + n_subjects)
        return [*self.subjects, *spare][:n_subjects]

    def _check(self, subjects: int, clips: int, intensity: float, emotions: Sequence[str] | None) -> None:
        if not 1 <= subjects <= MOST_SUBJECTS:
            raise ConfigError(
                f"--subjects: {subjects} can't be used — expected 1 to {MOST_SUBJECTS}. Change the value."
            )
        if clips < subjects:
            raise ConfigError(
                f"--clips: {clips} is fewer than --subjects {subjects} — expected at least one clip a subject. "
                "Raise it."
            )
        if not 0 < intensity <= 10:
            raise ConfigError(
                f"--intensity: {intensity} can't be used — expected more than 0, up to 10. Change the value."
            )
        for emotion in emotions or ():
            if emotion not in self.emotions:
                raise ConfigError(f"--emotions: {unknown_name('emotion', emotion, self.emotions)}")
