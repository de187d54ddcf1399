"""DFME, as it was given out for the challenge of CCAC 2024: 2,629 clips in three parts, at 200, 300 or 500 frames/s.

Each part (training, test A, test B) has a table and a folder of its own, and a copy may hold any of them: the counts
tell which. The whole set of the paper (7,526 clips) and its ten folds by subject are not public. Frame numbers begin
at 00000. The columns and counts are from public copies of the tables, the folders from loaders that read them. Whether
subjects of the test parts are in the training part as well is not known; a subject is whom the table names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from mer_cli.datasets.dataset import Columns, Dataset, Entry, Pictures, Scheme, all_to, as_named
from mer_cli.datasets.tables import Row

NAME = "dfme"
COLUMNS = Columns("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "AU", "Emotion")
FPS = "Fps"
UNKNOWN_FPS = 0.0
CLIP = re.compile(r"sub\d+_\d+", re.IGNORECASE)

TRAINING, TEST_A, TEST_B = "training", "test-A", "test-B"
PART_COUNTS = {
    TRAINING: {
        "anger": 161, "contempt": 100, "disgust": 548, "fear": 265, "happiness": 206, "sadness": 278, "surprise": 298,
    },
    TEST_A: {
        "anger": 39, "contempt": 34, "disgust": 129, "fear": 62, "happiness": 63, "sadness": 46, "surprise": 101,
    },
    TEST_B: {
        "anger": 41, "contempt": 37, "disgust": 58, "fear": 38, "happiness": 42, "sadness": 35, "surprise": 48,
    },
}  # fmt: skip
TABLES = {
    TRAINING: ("training_full_with_AU.xlsx", "*train*full_with_AU*", "dfme*train*"),
    TEST_A: ("testA_full_with_AU.xlsx", "*testA*with_AU*", "*test_A*with_AU*", "dfme*testA*", "dfme*test_A*"),
    TEST_B: ("testB_full_with_AU.xlsx", "*testB*with_AU*", "*test_B*with_AU*", "dfme*testB*", "dfme*test_B*"),
}
FOLDERS = {
    TRAINING: re.compile(r"(dfme)?train(ing)?(data|set)?", re.IGNORECASE),
    TEST_A: re.compile(r"(dfme)?test(data|set)?a", re.IGNORECASE),
    TEST_B: re.compile(r"(dfme)?test(data|set)?b", re.IGNORECASE),
}


def _versions() -> dict[str, dict[str, int]]:
    """Return the number of rows of each emotion in every choice of parts: "training", "training+test-A", ..."""
    chosen = [parts for n_parts in (1, 2, 3) for parts in combinations(PART_COUNTS, n_parts)]
    return {
        "+".join(parts): {emotion: sum(PART_COUNTS[part][emotion] for part in parts) for emotion in EMOTIONS}
        for parts in chosen
    }


EMOTIONS = tuple(PART_COUNTS[TRAINING])  # in the order of the table's EmotionId, 0-6
VERSIONS = _versions()


def _scheme(name: str, class_names: tuple[str, ...], class_of: Mapping[str, str | None], *, on_request: bool) -> Scheme:
    """Return a scheme with the counts that follow from the rows of each emotion, for every choice of parts."""
    return Scheme(
        name=name,
        class_names=class_names,
        class_of={NAME: class_of},
        expected={
            (NAME, version): tuple(
                sum(count for emotion, count in counts.items() if class_of[emotion] == class_name)
                for class_name in class_names
            )
            for version, counts in VERSIONS.items()
        },
        on_request=on_request,
    )


SCHEMES = (
    _scheme("dfme-7", EMOTIONS, as_named(*EMOTIONS), on_request=False),
    _scheme(
        "dfme-3",
        ("positive", "negative", "surprise"),
        {
            "happiness": "positive",
            "surprise": "surprise",
            **all_to("negative", "anger", "contempt", "disgust", "fear", "sadness"),
        },
        on_request=True,
    ),
)


def _clip_key(way: Sequence[str]) -> str | None:
    if not CLIP.fullmatch(way[-1]):
        return None
    for name in reversed(way[:-1]):
        plain = re.sub(r"[\W_]", "", name)
        for part, folder in FOLDERS.items():
            if folder.fullmatch(plain):
                return f"{part}/{way[-1].casefold()}"
    return way[-1].casefold()


def _read_row(row: Row) -> Entry:
    name, subject = row.cells["Filename"], row.cells["Subject"].removesuffix(".0")
    if subject.isdecimal():
        subject = f"sub{int(subject):04d}"
    entry = COLUMNS.entry(row, subject, name, (name.casefold(),))
    text = row.cells.get(FPS)
    if text is None:
        return entry
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return replace(entry, fps=float(text))
    return replace(entry, repairs=(f"frame rate '{text}' is not a number: recorded as unknown",))


DATASET = Dataset(
    name=NAME,
    title="DFME",
    fps=UNKNOWN_FPS,  # of a row that does not give it
    tables=tuple(patterns[0] for patterns in TABLES.values()),
    parts=TABLES,
    columns=COLUMNS,
    optional_columns=("AU", FPS),
    pictures=(Pictures("DFME", "raw"),),
    example="train_data/sub0003_01",
    clip_key=_clip_key,
    read_row=_read_row,
    emotions=EMOTIONS,
    frame_name=re.compile(r"\d{5}\.png", re.IGNORECASE),
    table_hint=" (testA_full_with_AU.xlsx and testB_full_with_AU.xlsx are those of the test parts)",
    versions=VERSIONS,
    schemes=SCHEMES,
)
