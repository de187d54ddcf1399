"""Decide over the whole release whether the folders keep the frame numbers of the table or were numbered anew.

Scripts that cut or copy a release often number the images of each folder from 1. Table rows 21, 54, 76 over 001..056
then mean 1, 34, 56, though frames 21 and 54 are on disk as well: a row alone can't tell, but the release can.

A folder was numbered anew if it is exactly as long as the annotation and begins elsewhere, and if it shares its first
number (mostly 1 or 0), or its distance from the table's onset, with others. Against it speaks a clip of which more than
the annotation is on disk under the table's numbers. A release, or a subject, in which both occur is refused. A folder
that begins at the onset reads the same either way.

What no pattern explains is left to `annotation`, which fits each row to the disk for itself, as before this look.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from mer_cli.errors import DatasetError
from mer_cli.records import subject_of

NEARLY_ALL = 0.9  # share of the clips that makes a pattern of the release
PATTERN = 3  # clips at least that make a pattern, where a single one may be chance
USUAL_STARTS = (0, 1)  # first numbers of folders that were numbered anew
MISSING = 0.1  # at most, of an annotation's frames, missing in a folder that was numbered anew
ONE_RATE = 0.05  # by which the images for each annotated frame differ from 1 at most, at the same frame rate
USUAL_RATES = (1 / 2, 2.0)
RATE_PATTERN = 6  # clips at least that show another rate than a usual one
NAMED = 10  # subjects named in a sentence
ROUNDING = 1.5  # frames by which a resampled folder may differ from its exact length

INCOMPLETE = (
    "the folders were numbered anew, and the table does not hold both onset and offset, so its numbers can't be moved "
    "to those of the images. Fill in both, or leave onset, apex and offset blank."
)
REMEDY = (
    "Unpack the release again, so that all images keep the released names, or write the numbers of the images into a "
    "copy of the table."
)


@dataclass(frozen=True)
class Numbered:
    """The annotation of a clip by its table, and the numbers of its frames on disk: how many, first and last.

    `apex` is None if it is not annotated or can't be used.
    """

    clip_id: str
    onset: int
    apex: int | None
    offset: int
    n_frames: int
    first: int
    last: int

    @property
    def annotated(self) -> int:
        """The number of frames from onset to offset."""
        return self.offset - self.onset + 1

    @property
    def span(self) -> int:
        """The number of frames on disk, with those that are missing in between."""
        return self.last - self.first + 1

    @property
    def is_original(self) -> bool:
        """Whether only the table's numbers explain the folder: it holds the annotation, and begins with it or earlier.

        A folder that begins at 0 or 1 with the onset says nothing.
        """
        return self.has_context or (self.first == self.onset and self.first not in USUAL_STARTS)

    @property
    def has_context(self) -> bool:
        """Whether the folder holds the annotation under the table's numbers, and frames before it."""
        return self.first < self.onset and self.offset <= self.last

    def readings(self) -> str:
        """Say what the annotation is under either numbering."""
        return (
            f"{self.clip_id}: {self.onset}..{self.offset} of the table are {self.onset}..{self.offset} of the images "
            f"{self.first}..{self.last}, or, if the folder was numbered anew from its onset, "
            f"{self.first}..{self.first + self.annotated - 1}"
        )


@dataclass(frozen=True)
class Numbering:
    """How the clips of a release are numbered.

    anew : ids of the clips whose folders were numbered anew, from the onset to the offset
    undecided : clip id -> why it can't be told how it is numbered
    corrections : a sentence for each change of the table's numbers over the release
    notes : a sentence for each oddity that was left as it is
    """

    anew: frozenset[str] = frozenset()
    undecided: Mapping[str, str] = field(default_factory=dict)
    corrections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def decide_numbering(
    dataset: str, clips: Sequence[Numbered], incomplete: Collection[str], endless: Sequence[Numbered] = ()
) -> Numbering:
    """Return how the clips of a release are numbered.

    Parameters
    ----------
    dataset : its name, for errors
    clips : the clips with onset and offset in the table and frames on disk
    incomplete : ids of clips with frames on disk for which the table has an onset, apex or offset, but not both ends
    endless : those of them with onset and apex, as if they ended at the apex; they count only if no clip has an offset

    Raises
    ------
    DatasetError
        If the release was numbered anew in part, or cut with frames around, and nothing tells which number is which.
    """
    rows = sorted(clips, key=lambda row: row.clip_id)
    rate = _rate(rows)
    if rate is not None:
        return _resampled(rows, rate, incomplete)
    exact = _numbered_anew(rows)
    if not exact:
        cut = _cut_with_frames_around(dataset, rows or endless)
        return Numbering(undecided=cut, notes=_oddities(rows))
    return _by_subject(dataset, rows, exact, incomplete)


def _numbered_anew(rows: Sequence[Numbered]) -> list[Numbered]:
    """Return the clips whose folders are as long as the annotation and begin elsewhere, if a pattern is behind it."""
    exact = [row for row in rows if row.span == row.annotated and row.first != row.onset]
    if not exact:
        return []
    for places in ([row.first - row.onset for row in exact], [row.first for row in exact]):
        common, count = Counter(places).most_common(1)[0]
        if count >= max(PATTERN, NEARLY_ALL * len(exact)):
            return [
                row for row, place in zip(exact, places, strict=True) if place == common or row.first in USUAL_STARTS
            ]
    return [row for row in exact if row.first in USUAL_STARTS]


def _by_subject(
    dataset: str, rows: Sequence[Numbered], exact: Sequence[Numbered], incomplete: Collection[str]
) -> Numbering:
    """Return the numbering of a release in which the clips `exact` were numbered anew: of all subjects, or of some."""
    undecided, doubtful = _against_the_rest(dataset, rows, exact)
    anew = {row.clip_id for row in exact} - doubtful
    n_anew = Counter(subject_of(row.clip_id) for row in exact)
    n_original = Counter(subject_of(row.clip_id) for row in rows if row.is_original)

    def is_anew(subject: str) -> bool:
        n, n_other = n_anew[subject], n_original[subject]
        if not n + n_other:
            n, n_other = n_anew.total(), n_original.total()
        return n >= NEARLY_ALL * (n + n_other)

    for row in rows:
        same_either_way = row.is_original or row.first == row.onset
        if row.clip_id in anew | doubtful or same_either_way or not is_anew(subject_of(row.clip_id)):
            continue
        if 0 <= row.annotated - row.span <= MISSING * row.annotated:
            anew.add(row.clip_id)
        else:
            undecided[row.clip_id] = _other_length(row)
    undecided |= {clip_id: INCOMPLETE for clip_id in incomplete if is_anew(subject_of(clip_id))}
    corrections = (_moved(exact, anew, rows),) if anew else ()
    return Numbering(frozenset(anew), undecided, corrections, _oddities(rows))


def _against_the_rest(
    dataset: str, rows: Sequence[Numbered], exact: Sequence[Numbered]
) -> tuple[dict[str, str], set[str]]:
    """Return the clips that are numbered otherwise than nearly all, where both occur in a subject.

    Returns
    -------
    clip id -> why it can't be told how a clip is numbered; and the ids of all such clips, also of those whose apex is
    beyond the frames on disk, which only one numbering explains

    Raises
    ------
    DatasetError
        If both numberings are common.
    """
    context = [row for row in rows if row.has_context]
    of_exact, of_context = ({subject_of(row.clip_id) for row in group} for group in (exact, context))
    mixed = sorted(of_exact & of_context)
    if not mixed:
        return {}, set()
    share = len(exact) / (len(exact) + len(context))
    if 1 - NEARLY_ALL < share < NEARLY_ALL:
        raise DatasetError(_mixture(dataset, exact, context, mixed))
    few = context if share >= NEARLY_ALL else exact
    doubtful = [row for row in few if subject_of(row.clip_id) in mixed]
    reasons = {
        row.clip_id: "nearly all other clips are numbered otherwise, so it can't be told how this one is. "
        f"{row.readings()}. {REMEDY}"
        for row in doubtful
        if row.apex is None or row.first <= row.apex <= row.last
    }
    return reasons, {row.clip_id for row in doubtful}


def _moved(exact: Sequence[Numbered], anew: Collection[str], rows: Sequence[Numbered]) -> str:
    """Return a sentence that says which clips were numbered anew."""
    starts = sorted({row.first for row in exact})
    subjects = {subject_of(clip_id) for clip_id in anew}
    is_all = len(subjects) == len({subject_of(row.clip_id) for row in rows})
    who = "" if is_all else f" ({_names(subjects)})"
    numbers = "1..N" if starts == [1] else f"from {' or '.join(map(str, starts))}"
    how = (
        f"are numbered {numbers} on disk, as many as annotated"
        if len(starts) <= len(USUAL_STARTS)
        else "have as many images as annotated, under other numbers"
    )
    return (
        f"{len(anew)} of {len(rows)} clips{who} {how}: all their frame numbers of the table were moved, the onset to "
        "the first image."
    )


def _names(subjects: Collection[str]) -> str:
    names = sorted(subject.partition("/")[2] for subject in subjects)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'subject' if len(names) == 1 else 'subjects'} {', '.join(names[:NAMED])}{more}"


def _mixture(dataset: str, exact: Sequence[Numbered], context: Sequence[Numbered], subjects: Sequence[str]) -> str:
    one, other = (next(row for row in group if subject_of(row.clip_id) == subjects[0]) for group in (exact, context))
    return (
        f"{dataset}: {len(exact)} clips are in folders that were numbered anew, {len(context)} have frames around them "
        f"under the table's numbers, and both occur in {_names(subjects)}, so it can't be told which clips were "
        f"numbered anew. {one.readings()}. {other.readings()}. {REMEDY}"
    )


def _other_length(row: Numbered) -> str:
    return (
        f"the folders were numbered anew, and this one holds {row.span} frames ({row.first}..{row.last}) where "
        f"{row.annotated} are annotated ({row.onset}..{row.offset}), so it can't be told which of them is the onset. "
        f"{REMEDY}"
    )


def _cut_with_frames_around(dataset: str, rows: Sequence[Numbered]) -> dict[str, str]:
    """Return why the clips of some subjects can't be used: cut with frames around and numbered anew.

    Raises
    ------
    DatasetError
        If this is so throughout the release.
    """
    beyond = [row for row in rows if _is_beyond(row)]
    surplus = {row.span - row.annotated for row in beyond}
    # With a constant surplus, a row whose numbers happen to be on disk belongs to the pattern, too.
    alike = [row for row in rows if row.span - row.annotated in surplus] if len(surplus) == 1 else beyond
    if len(beyond) > (1 - NEARLY_ALL) * len(rows) and _is_pattern(alike, rows, 1 - NEARLY_ALL):
        more = f", {surplus.pop():+d} images in each" if len(surplus) == 1 else ""
        raise DatasetError(
            f"{dataset}: {len(beyond)} of {len(rows)} clips have annotated frames beyond the last image, though "
            f"nearly every folder begins at {beyond[0].first}: the folders seem to be cut otherwise than annotated"
            f"{more}, and numbered anew. {beyond[0].readings()}. It can't be told which image is the onset. {REMEDY}"
        )
    of_subject: dict[str, list[Numbered]] = defaultdict(list)
    for row in rows:
        of_subject[subject_of(row.clip_id)].append(row)
    undecided = {}
    for held in of_subject.values():
        those = [row for row in held if _is_beyond(row)]
        if _is_pattern(those, held, 0.5):
            undecided.update({row.clip_id: _other_length(row) for row in those})
    return undecided


def _is_beyond(row: Numbered) -> bool:
    return row.first < row.onset and row.offset > row.last and row.span != row.annotated


def _is_pattern(beyond: Sequence[Numbered], rows: Sequence[Numbered], share: float) -> bool:
    """Tell whether the clips `beyond` are more than a share of all, and nearly all folders begin at one number."""
    if len(beyond) < PATTERN or len(beyond) <= share * len(rows):
        return False
    start, _ = Counter(row.first for row in beyond).most_common(1)[0]
    alike = [row for row in rows if row.first == start]
    return len(alike) >= NEARLY_ALL * len(rows) and all(row.first == start for row in beyond)


def _rate(rows: Sequence[Numbered]) -> float | None:
    """Return how many images there are for each annotated frame, if that is another number than 1 and nearly constant.

    Clips of nearly one length can't tell a rate from a fixed number of frames around them.
    """
    cut = [row for row in rows if row.n_frames == row.span]
    if len(cut) < max(PATTERN, NEARLY_ALL * len(rows)):
        return None
    found = median(row.span / row.annotated for row in cut)
    rate = next((usual for usual in USUAL_RATES if abs(found - usual) < ONE_RATE * usual), found)
    if abs(rate - 1) <= ONE_RATE:
        return None
    enough = max(PATTERN if rate in USUAL_RATES else RATE_PATTERN, NEARLY_ALL * len(rows))
    fitting = [row for row in cut if _fits(row, rate)]
    surplus = [row.span - row.annotated for row in fitting]
    if len(fitting) < enough or max(surplus) - min(surplus) <= 2 * ROUNDING:
        return None
    # Numbered anew, from the onset, or at the other rate throughout; never with frames before the onset.
    _, n_alike = Counter(row.first for row in fitting).most_common(1)[0]
    n_onset = sum(row.first == row.onset for row in fitting)
    n_rated = sum(abs(row.first - rate * row.onset) <= ROUNDING for row in fitting)
    return rate if max(n_alike, n_onset, n_rated) >= enough else None


def _fits(row: Numbered, rate: float) -> bool:
    return abs(row.span - rate * row.annotated) <= ROUNDING


def _resampled(rows: Sequence[Numbered], rate: float, incomplete: Collection[str]) -> Numbering:
    """Return the numbering of a release whose folders hold `rate` images for each annotated frame."""
    fitting = frozenset(row.clip_id for row in rows if _fits(row, rate))
    sentence = (
        f"{len(fitting)} of {len(rows)} clips have {rate:.2g} images for each annotated frame, as at another frame "
        "rate: all their frame numbers of the table were moved in proportion, the onset to the first image."
    )
    undecided = dict.fromkeys(incomplete, INCOMPLETE)
    for row in rows:
        if row.clip_id not in fitting:
            undecided[row.clip_id] = (
                f"nearly all other clips have {rate:.2g} images for each annotated frame, and this one {row.span} "
                f"images for {row.annotated}, so it can't be told which of them is the onset. {REMEDY}"
            )
    return Numbering(fitting, undecided, (sentence,))


def _oddities(rows: Sequence[Numbered]) -> tuple[str, ...]:
    """Return a sentence for each pattern that may be a mistake but leaves the table's numbers on disk."""
    notes = []
    enough = max(PATTERN, NEARLY_ALL * len(rows))
    context = [row for row in rows if row.has_context]
    if sum(row.first == 0 for row in context) >= enough and all(row.onset > 0 for row in rows):
        notes.append(
            f"the folders of {len(context)} clips begin at image 0 and the table's onsets at "
            f"{min(row.onset for row in rows)}: the table's numbers are taken as those of the images. If the images "
            "were numbered anew from 0, every frame is one too late."
        )
    alike = Counter((row.first, row.span - row.annotated) for row in context)
    (first, surplus), count = alike.most_common(1)[0] if alike else ((0, 0), 0)
    if count >= enough and len({row.onset for row in context}) > 1:
        notes.append(
            f"{count} of {len(rows)} folders begin at {first} and hold {surplus} frames more than annotated: the "
            "table's numbers are taken, which are on disk. If the folders were cut and numbered anew, they are wrong."
        )
    if sum(abs(2 * row.n_frames - row.span) <= 1 and row.n_frames > 1 for row in rows) >= enough:
        notes.append(
            "the folders hold every second image only: the nearest one is taken where the table names another, and "
            "motion from image to image is that of half the frame rate."
        )
    return tuple(notes)
