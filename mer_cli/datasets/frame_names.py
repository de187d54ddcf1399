"""Decide which run of digits in the images' names is the frame number, over all folders of a release at once.

It is the last run (`reg_img46.jpg`, `006_05562.jpg`), unless that run repeats within a folder while exactly one other
run tells the images apart in every folder: in `frame008_20240503.jpg` the number is 8, and the date says nothing. One
folder alone could not tell, because the date changes at midnight and a folder may hold a single image.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import PurePath

DIGITS = re.compile(r"[0-9]+")
LAST = -1  # the position of a run of digits is counted from the end


def shape_of(file_name: str) -> str:
    """Return an image's name with "#" for each run of digits, without its extension: "frame#_#"."""
    return DIGITS.sub("#", PurePath(file_name).stem).casefold()


def runs_of(file_name: str) -> tuple[int, ...]:
    """Return the numbers that the runs of digits in an image's name hold: (8, 20240503) for frame008_20240503.jpg."""
    return tuple(int(run) for run in DIGITS.findall(PurePath(file_name).stem))


def number_runs(folders: Collection[Mapping[str, int]]) -> dict[str, int]:
    """Return for each shape of a name which run of digits is the frame number, where it is not the last one.

    Parameters
    ----------
    folders : the names of the images in each folder of a release, with the last run of digits of each
    """
    if all(len(set(names.values())) == len(names) for names in folders):
        return {}  # a recording has thousands of images, so nearly all releases end here
    repeated: dict[str, set[int]] = defaultdict(set)  # shape -> positions of runs that are the same in two images
    n_runs: dict[str, int] = {}
    for names in folders:
        images: dict[str, set[tuple[int, ...]]] = defaultdict(set)
        for name in names:
            images[shape_of(name)].add(runs_of(name))  # a set, because img1.jpg and img1.png differ in no run
        for shape, held in images.items():
            n_runs[shape] = n = len(next(iter(held)))
            repeated[shape].update(run for run in range(-n, 0) if len({runs[run] for runs in held}) < len(held))
    chosen = {}
    for shape, bad in repeated.items():
        telling = [run for run in range(-n_runs[shape], 0) if run not in bad]
        if LAST in bad and len(telling) == 1:
            chosen[shape] = telling[0]
    return chosen


def number_of(file_name: str, runs: Mapping[str, int]) -> int:
    """Return the frame number in an image's name, by the runs of digits that `number_runs` chose for the release."""
    return runs_of(file_name)[runs.get(shape_of(file_name), LAST)]


def are_copies(name: str, other: str) -> bool:
    """Tell whether one name is the other with something before or after it: img46.png, img046.jpg, reg_img46.jpg."""
    short, long = sorted(
        (DIGITS.sub(lambda run: str(int(run.group())), PurePath(text).stem).casefold() for text in (name, other)),
        key=len,
    )
    return long.startswith(short) or long.endswith(short)
