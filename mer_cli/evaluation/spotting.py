"""Score spotted intervals against the truth as MEGC does: interval F1, and STRS where emotions were recognised, too.

A prediction is right if it shares at least half of the frames that it and a true interval cover together (IoU >= .5),
and each true interval can be found once. Right ones, false alarms and misses are counted over all videos before F1 is
computed, so a video without expressions counts through its false alarms.

STRS, the spot-then-recognise score, is that F1 times the F1 of the emotions of the right intervals: the harmonic mean
of precision and recall, each averaged over the emotions of the truth. A recogniser is therefore judged only on what was
spotted, and an emotion that is in the truth and among no right interval counts 0.

Source
------
IoU and F1: He et al., Spotting macro- and micro-expression intervals in long video sequences, FG 2020 (MEGC 2020).
STRS: Liong, See and Chan, Spot-then-recognize: a micro-expression analysis network for seamless evaluation of long
videos, Signal Processing: Image Communication 110, 2023; its F1 of the emotions as in the organisers' program, which
gives the numbers of Table 1 of Fan et al., MEGC2025, ACM Multimedia 2025 (arXiv 2506.15298). That program takes
predictions in the order of the file; here the pair with the larger IoU comes first, so the order doesn't matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mer_cli.datasets.frame_files import VIDEO_EXTENSIONS
from mer_cli.errors import DatasetError, shortened
from mer_cli.evaluation.statistics import SubjectCounts, bootstrap_interval
from mer_cli.spotting.interval_file import Row

OVERLAP = 0.5  # IoU from which an interval is found
N_CHANCE = 1000  # draws of random intervals
DRAWS_AT_ONCE = 50  # of chance; 10,000 predictions then take 50 MB
CHANCE_SEED = 0
MICRO, MACRO = "micro", "macro"
TOGETHER = "micro and macro"
NAMES = {
    **dict.fromkeys(("micro", "me", "micro-expression", "microexpression"), MICRO),
    **dict.fromkeys(("macro", "mae", "macro-expression", "macroexpression"), MACRO),
}
MOST_NAMED = 5  # videos that a note names

Span = tuple[int, int]  # onset and offset, both included


@dataclass(frozen=True)
class Found:
    """How many intervals of a kind were found in the videos.

    right, false, missed : numbers of intervals
    interval : 95 % interval of F1, a bootstrap over subjects, or over videos if their subjects are not known; None with
        one of them
    chance : F1 of as many intervals of the same lengths at random places, the mean of 1,000 draws
    chance_high : F1 that 95 % of these draws don't exceed
    """

    kind: str
    right: int
    false: int
    missed: int
    interval: tuple[float, float] | None = None
    chance: float = 0.0
    chance_high: float = 0.0

    @property
    def precision(self) -> float:
        return _share(self.right, self.right + self.false)

    @property
    def recall(self) -> float:
        return _share(self.right, self.right + self.missed)

    @property
    def f1(self) -> float:
        return _share(2 * self.right, 2 * self.right + self.false + self.missed)


@dataclass(frozen=True)
class Recognised:
    """How good the emotions of the right intervals are.

    n : right intervals with an emotion of the truth · f1 : harmonic mean of `precision` and `recall`, which are means
    over the emotions of the truth · strs : F1 of spotting times `f1`
    """

    n: int
    n_right: int
    precision: float
    recall: float
    f1: float
    strs: float


@dataclass(frozen=True)
class SpottingScores:
    """The scores of spotted intervals.

    found : for each kind, and for both together if there are both
    recognised : None if the predictions have no emotions
    minutes : length of the videos; None if the files don't say
    false_in : kind of what else happened -> false alarms that overlap it; "nothing" for the others
    n_subjects : 0 if nobody knows the subjects
    notes : a sentence for each unusual thing
    """

    found: tuple[Found, ...]
    recognised: Recognised | None
    minutes: float | None
    false_in: Mapping[str, int]
    n_videos: int
    n_subjects: int
    notes: tuple[str, ...] = ()

    @property
    def false_a_minute(self) -> float | None:
        return None if self.minutes is None else self.found[-1].false / self.minutes


@dataclass(frozen=True)
class _Video:
    """The intervals of one video: predicted, true, and what else is in the truth."""

    name: str
    subject: str = ""
    predicted: list[Row] = field(default_factory=list)
    true: list[Row] = field(default_factory=list)
    others: list[Row] = field(default_factory=list)
    n_frames: int = 0
    fps: float = 0.0


def score_spotting(predicted: Sequence[Row], true: Sequence[Row]) -> SpottingScores:
    """Score predicted intervals against the true ones; rejected ones (with a reason) are left out.

    Raises
    ------
    DatasetError
        If no video of the predictions is in the truth, or the truth holds no micro- or macro-expression.
    """
    has_kinds = any(row.kind for row in predicted)
    videos, notes = _join([row for row in predicted if not row.reason], true, has_kinds=has_kinds)
    kinds = [kind for kind in (MICRO, MACRO) if kind == MICRO or has_kinds]
    kinds = [kind for kind in kinds if any(_kind(row) == kind for video in videos for row in video.true)] or kinds[:1]
    pairs = [_pairs_of(video) for video in videos]
    found = [_found(kind, [kind], videos, pairs) for kind in kinds]
    if len(kinds) > 1:
        found.append(_found(TOGETHER, kinds, videos, pairs))
    lengths = [video.n_frames / video.fps / 60 if video.fps else 0.0 for video in videos]
    return SpottingScores(
        found=tuple(found),
        recognised=_recognise(found[-1].f1, videos, pairs),
        minutes=sum(lengths) if all(lengths) else None,
        false_in=_false_in(videos, pairs),
        n_videos=len(videos),
        n_subjects=len({video.subject for video in videos}) if all(video.subject for video in videos) else 0,
        notes=tuple(notes),
    )


def overlaps(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Return the IoU of each prediction with each true interval, (predictions, true): of frames, ends included."""
    onset, offset = np.array(predicted, int).reshape(-1, 2).T
    start, end = np.array(true, int).reshape(-1, 2).T
    shared = np.minimum(offset[:, None], end) - np.maximum(onset[:, None], start) + 1
    shared = np.maximum(shared, 0)
    return np.asarray(shared / ((offset - onset + 1)[:, None] + (end - start + 1) - shared))


def match(predicted: Sequence[Span], true: Sequence[Span]) -> list[tuple[int, int]]:
    """Return the pairs (prediction, true interval) with an IoU of at least .5, the largest first; each is in one."""
    return _pair_off(predicted, true, _near(predicted, true))


def _near(predicted: ArrayLike, true: Sequence[Span]) -> list[tuple[int, int, float]]:
    """Return (prediction, true interval, IoU) of those with an IoU of at least .5.

    Each true interval is compared only with predictions that can overlap it: the memory does not grow with both.
    """
    spans = np.asarray(predicted, int).reshape(-1, 2)
    if not len(spans):
        return []
    order = np.argsort(spans[:, 0], kind="stable")
    onsets, longest = spans[order, 0], int((spans[:, 1] - spans[:, 0]).max())
    found: list[tuple[int, int, float]] = []
    for j, (start, end) in enumerate(true):
        first, last = np.searchsorted(onsets, [start - longest, end + 1])
        rows = order[first:last]
        shares = overlaps(spans[rows], [(start, end)])[:, 0]
        is_near = shares >= OVERLAP
        found += [(i, j, share) for i, share in zip(rows[is_near].tolist(), shares[is_near].tolist(), strict=True)]
    return found


def _pair_off(
    predicted: Sequence[Span] | Mapping[int, Span], true: Sequence[Span], near: Iterable[tuple[int, int, float]]
) -> list[tuple[int, int]]:
    """Return the pairs with the largest IoU, the largest first; each prediction and each true interval is in one."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for i, j, _ in sorted(near, key=lambda each: (-each[2], predicted[each[0]], true[each[1]])):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return list(pairs.items())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _kind(row: Row) -> str:
    """Return the kind of an interval; one that says nothing is a micro-expression."""
    return NAMES.get(row.kind.casefold(), row.kind.casefold()) if row.kind else MICRO


def _span(row: Row) -> Span:
    return row.onset, row.offset


def _join(predicted: Sequence[Row], true: Sequence[Row], *, has_kinds: bool) -> tuple[list[_Video], list[str]]:
    """Return the videos of both files, by name, and what to know about them."""
    if not true:
        raise DatasetError("--spotting: the truth has no rows. Give the table of the micro-expressions.")
    by_subject = all(row.subject for row in (*predicted, *true))
    names = [_names(rows, by_subject=by_subject) for rows in (predicted, true)]
    common = set(names[0].values()) & set(names[1].values())
    if predicted and not common:
        shown = (shortened(rows[0].video) for rows in (predicted, true))
        raise DatasetError(
            "--spotting: no video is in both files; the first is '{}' in the predictions and '{}' in the truth. Give "
            "the truth of the same videos.".format(*shown)
        )
    videos: dict[str, _Video] = {}
    for row, key in (*_keyed(true, names[1]), *_keyed(predicted, names[0])):
        before = videos.get(key) or _Video(row.video)
        videos[key] = _Video(
            before.name,
            before.subject or row.subject,
            before.predicted,
            before.true,
            before.others,
            max(before.n_frames, row.n_frames),
            before.fps or row.fps,
        )
    expressions = (MICRO, MACRO) if has_kinds else (MICRO,)
    for row, key in _keyed(predicted, names[0]):
        if row.onset:
            videos[key].predicted.append(row)
    for row, key in _keyed(true, names[1]):
        if row.onset:
            (videos[key].true if _kind(row) in expressions else videos[key].others).append(row)
    if not any(video.true for video in videos.values()):
        kinds = ", ".join(sorted({_kind(row) for row in true if row.onset})) or "none"
        raise DatasetError(
            f"--spotting: the truth has no micro-expression. Its kinds are: {kinds}. Expected intervals of the kind "
            "micro, or no column kind. Give the table of the micro-expressions."
        )
    ordered = [videos[key] for key in sorted(videos)]
    for video in ordered:
        _require_single(video)
        for rows in (video.predicted, video.true, video.others):
            rows.sort(key=lambda row: (row.onset, row.offset, row.kind, row.emotion))
    return ordered, [*_notes(names, videos), *_twice(ordered)]


def _require_single(video: _Video) -> None:
    """Raise a DatasetError if the truth of a video has an interval twice: nothing could find it a second time."""
    seen = Counter((_kind(row), *_span(row)) for row in video.true)
    twice = next((key for key, count in seen.items() if count > 1), None)
    if twice:
        kind, onset, offset = twice
        raise DatasetError(
            f"--spotting: the truth has the {kind}-expression from frame {onset} to {offset} of "
            f"'{shortened(video.name)}' twice, and nothing can find it a second time. Delete one of the rows."
        )


def _twice(videos: Sequence[_Video]) -> Iterable[str]:
    """Yield a note on predictions that are in the file more than once."""
    n_more = sum(len(rows) - len(set(rows)) for rows in ([(_kind(r), *_span(r)) for r in v.predicted] for v in videos))
    if n_more:
        what = "repeats another one of the same frames, and counts as a false alarm"
        if n_more > 1:
            what = "repeat others of the same frames, and count as false alarms"
        yield f"{n_more} of the predicted intervals {what}"


def _keyed(rows: Iterable[Row], names: Mapping[tuple[str, str], str]) -> list[tuple[Row, str]]:
    return [(row, names[row.subject, row.video]) for row in rows]


def _names(rows: Iterable[Row], *, by_subject: bool) -> dict[tuple[str, str], str]:
    """Return the name by which each (subject, video) of a file is found in the other: without folder and extension.

    The whole path is taken if two videos of the file would have the same name.
    """
    whole = {(row.subject, row.video): row.video.replace("\\", "/").casefold() for row in rows}
    short = {key: _stem(text) for key, text in whole.items()}
    start = {key: f"{key[0].casefold()}/" if by_subject else "" for key in whole}
    n_of = Counter(
        start[key] + short[key] for key in {(key[0] if by_subject else "", whole[key]): key for key in whole}.values()
    )
    return {key: start[key] + (short[key] if n_of[start[key] + short[key]] == 1 else whole[key]) for key in whole}


def _stem(text: str) -> str:
    path = PurePosixPath(text)
    return path.stem if path.suffix in VIDEO_EXTENSIONS else path.name


def _notes(names: Sequence[Mapping[tuple[str, str], str]], videos: Mapping[str, _Video]) -> Iterable[str]:
    predicted, true = (set(one.values()) for one in names)
    if true - predicted:
        yield (
            f"{_named(true - predicted, videos)} in the truth and not in the predictions: what is in them counts as "
            "missed"
        )
    if predicted - true:
        yield (
            f"{_named(predicted - true, videos)} in the predictions and not in the truth: what is predicted there "
            "counts as false alarms"
        )


def _named(keys: Iterable[str], videos: Mapping[str, _Video]) -> str:
    """Return "3 videos (001, 002, 003) are", for a note."""
    names = [videos[key].name for key in sorted(keys)]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    what = "1 video" if len(names) == 1 else f"{len(names)} videos"
    return f"{what} ({', '.join(names[:MOST_NAMED])}{more}) {'is' if len(names) == 1 else 'are'}"


def _pairs_of(video: _Video) -> list[tuple[Row, Row]]:
    """Return the right predictions of a video, each with its true interval, which is of the same kind."""
    pairs: list[tuple[Row, Row]] = []
    for kind in (MICRO, MACRO):
        predicted, true = ([row for row in rows if _kind(row) == kind] for rows in (video.predicted, video.true))
        found = match([_span(row) for row in predicted], [_span(row) for row in true])
        pairs += [(predicted[i], true[j]) for i, j in found]
    return pairs


def _found(kind: str, kinds: Sequence[str], videos: Sequence[_Video], pairs: Sequence[list[tuple[Row, Row]]]) -> Found:
    """Count what was found of some kinds, with the interval and chance of F1."""
    units = _units(videos)
    counts = np.zeros((len(set(units)), 2, 2), np.int64)  # for each subject or video [[0, false], [missed, right]]
    row_of = {unit: row for row, unit in enumerate(sorted(set(units)))}
    for unit, video, matched in zip(units, videos, pairs, strict=True):
        right = sum(_kind(one) in kinds for _, one in matched)
        counts[row_of[unit]] += [
            [0, sum(_kind(row) in kinds for row in video.predicted) - right],
            [sum(_kind(row) in kinds for row in video.true) - right, right],
        ]
    total = counts.sum(axis=0)
    interval = None
    if len(row_of) > 1:
        drawn = bootstrap_interval([SubjectCounts(tuple(row_of), counts)], _f1_of)
        interval = (drawn.low, drawn.high)
    by_chance = _chance(kinds, videos)
    mean, high = float(by_chance.mean()), float(np.quantile(by_chance, 0.95))
    return Found(kind, int(total[1, 1]), int(total[0, 1]), int(total[1, 0]), interval, mean, high)


def _units(videos: Sequence[_Video]) -> list[str]:
    """Return for each video what the bootstrap draws: its subject, or itself if a subject is not known."""
    if all(video.subject for video in videos):
        return [video.subject for video in videos]
    return [str(index) for index in range(len(videos))]


def _f1_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of each (..., 2, 2) of counts; 0 where there is nothing."""
    twice = 2 * counts[..., 1, 1]
    whole = twice + counts[..., 0, 1] + counts[..., 1, 0]
    return np.asarray(np.divide(twice, whole, out=np.zeros(whole.shape), where=whole > 0))


def _chance(kinds: Sequence[str], videos: Sequence[_Video]) -> NDArray[np.float64]:
    """Return F1 of each draw, in which every prediction keeps its video and length and gets a random place."""
    rng = np.random.default_rng(CHANCE_SEED)
    right = np.zeros(N_CHANCE, np.int64)
    n_predicted = n_true = 0
    for video in videos:
        for kind in kinds:
            lengths = np.array([row.offset - row.onset + 1 for row in video.predicted if _kind(row) == kind], int)
            true = [_span(row) for row in video.true if _kind(row) == kind]
            n_predicted, n_true = n_predicted + len(lengths), n_true + len(true)
            if len(lengths) and true:
                right += _right_by_chance(rng, lengths, true, _last_frame(video))
    return np.asarray(2 * right / max(n_predicted + n_true, 1))


def _right_by_chance(
    rng: np.random.Generator, lengths: NDArray[np.int64], true: Sequence[Span], last: int
) -> NDArray[np.int64]:
    """Return how many intervals at random places are right, in each draw."""
    room = np.maximum(last - lengths + 1, 1)
    right = np.zeros(N_CHANCE, np.int64)
    for first in range(0, N_CHANCE, DRAWS_AT_ONCE):
        n_draws = min(DRAWS_AT_ONCE, N_CHANCE - first)
        onsets = (1 + np.floor(rng.random((n_draws, len(lengths))) * room).astype(np.int64)).ravel()
        spans = np.stack([onsets, onsets + np.tile(lengths, n_draws) - 1], axis=-1)
        near_of: dict[int, list[tuple[int, int, float]]] = {}
        for i, j, share in _near(spans, true):
            near_of.setdefault(i // len(lengths), []).append((i, j, share))
        for draw, near in near_of.items():
            here = {i: (int(spans[i, 0]), int(spans[i, 1])) for i, _, _ in near}
            right[first + draw] = len(_pair_off(here, true, near))
    return right


def _last_frame(video: _Video) -> int:
    """Return the number of frames of a video; if nobody says it, the last frame of any interval."""
    rows = (*video.predicted, *video.true, *video.others)
    return max(video.n_frames, *(row.offset for row in rows))


def _recognise(f1: float, videos: Sequence[_Video], pairs: Sequence[list[tuple[Row, Row]]]) -> Recognised | None:
    """Judge the emotions of the right intervals; None if no prediction or no true interval has one."""
    emotions = sorted({row.emotion.casefold() for video in videos for row in video.true if row.emotion})
    if not emotions or not any(row.emotion for video in videos for row in video.predicted):
        return None
    right = [pair for matched in pairs for pair in matched]
    named = [(one.emotion.casefold(), other.emotion.casefold()) for one, other in right if other.emotion]
    precisions, recalls = [], []
    for emotion in emotions:
        hits = sum(guess == truth == emotion for guess, truth in named)
        precisions.append(_share(hits, sum(guess == emotion for guess, _ in named)))
        recalls.append(_share(hits, sum(truth == emotion for _, truth in named)))
    precision, recall = float(np.mean(precisions)), float(np.mean(recalls))
    of_emotions = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    n_right = sum(guess == truth for guess, truth in named)
    return Recognised(len(named), n_right, precision, recall, of_emotions, f1 * of_emotions)


def _false_in(videos: Sequence[_Video], pairs: Sequence[list[tuple[Row, Row]]]) -> dict[str, int]:
    """Count the false alarms by what happens at the same time: the kind whose interval shares most frames with each."""
    counts: Counter[str] = Counter()
    for video, matched in zip(videos, pairs, strict=True):
        right = {id(one) for one, _ in matched}
        for row in video.predicted:
            if id(row) in right:
                continue
            shared = [
                (min(row.offset, other.offset) - max(row.onset, other.onset) + 1, _kind(other))
                for other in (*video.others, *video.true)
            ]
            most = max(shared, default=(0, ""))
            counts[most[1] if most[0] > 0 else "nothing"] += 1
    return dict(sorted(counts.items()))
