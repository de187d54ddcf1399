"""Compare the crops of a clip's onset and apex, and note what can't be one face within a fraction of a second.

One transform per clip rests on a recording in which only the face moves. Images that were cropped one by one jump, and
frames of two people may lie in one folder. Measured on 108 generated clips (3 seeds of CASME II, SAMM and MMEW): the
image moves 1.9 pixels at most, the centres of onset and apex correlate by .90 or more and differ by 7.1 grey levels or
less; two people correlate by .75 at most and differ by 18 or more. A head that drifts a few pixels of a 640-pixel image
moves the crop by about as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.pictures import Image
from mer_cli.system.opencv import cv2

JUMP = 8.0  # pixels of the crop, about 7 mm of a face
EXPLAINED = 0.5  # a jump explains the difference if its correction leaves less than this share
ALIKE = 0.8  # correlation
FAR = 14.0  # mean absolute difference, grey levels
CENTRE = slice(CROP_SIZE // 7, CROP_SIZE - CROP_SIZE // 7)

# A store's content hash covers these notes, so they never change; `odd_pairs` reads them.
STILL_NOTE = "onset and apex are the same image: the pair shows no motion"
JUMP_NOTE = "the image jumps {:.0f} pixels between onset and apex"
OTHER_NOTE = "onset and apex differ as images of two faces do"
# How a note begins, and what `odd_pairs` calls it; the first is `annotation`'s.
KINDS = {
    "apex equals onset": "apex equals onset",
    STILL_NOTE: "onset and apex are the same image",
    JUMP_NOTE.partition(" {")[0]: "the image jumps between onset and apex",
    OTHER_NOTE: OTHER_NOTE,
}
NAMED = 5  # clips


def pair_notes(onset: Image, apex: Image) -> tuple[str, ...]:
    """Return a sentence for what is odd about the crops of a clip's onset and apex, two different frames.

    Parameters
    ----------
    onset, apex : (224, 224, 3) uint8, RGB
    """
    if np.array_equal(onset, apex):
        return (STILL_NOTE,)
    first, second = (np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32) for image in (onset, apex))
    (x, y), _ = cv2.phaseCorrelate(first, second, cv2.createHanningWindow((CROP_SIZE, CROP_SIZE), cv2.CV_32F))
    back = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    moved = np.asarray(
        cv2.warpAffine(second, back, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    left = _difference(first, moved)
    jump = float(np.hypot(x, y))
    if jump > JUMP and left < EXPLAINED * _difference(first, second):
        return (JUMP_NOTE.format(jump),)
    return (OTHER_NOTE,) if left > FAR and _correlation(first, moved) < ALIKE else ()


def odd_pairs(notes: Mapping[str, str], separator: str) -> tuple[str, ...]:
    """Return a sentence for each kind of odd pair in the notes of clips, with their number and the first clips' ids.

    Parameters
    ----------
    notes : clip id -> its note, sentences between separators
    """
    held = {kind: [clip for clip, note in notes.items() if _begins(note.split(separator), kind)] for kind in KINDS}
    return tuple(
        f"{len(clips)} clip{'s' if len(clips) > 1 else ''}: {KINDS[kind]} ({', '.join(clips[:NAMED])}"
        f"{f' and {len(clips) - NAMED} more' if len(clips) > NAMED else ''}). Look at the audit."
        for kind, clips in held.items()
        if clips
    )


def _begins(sentences: Iterable[str], kind: str) -> bool:
    return any(sentence.startswith(kind) for sentence in sentences)


def _difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(np.abs(first - second)[CENTRE, CENTRE].mean())


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the correlation of two images' centres; 1 if an image is of one grey, which has none."""
    values = [image[CENTRE, CENTRE].ravel() - image[CENTRE, CENTRE].mean() for image in (first, second)]
    size = float(np.linalg.norm(values[0]) * np.linalg.norm(values[1]))
    return float(values[0] @ values[1]) / size if size else 1.0
