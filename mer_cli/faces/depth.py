"""Find out how many bits the images of a release use, if they have more than eight bits a channel.

A camera of 12 bits leaves images of 16 bits whose values end at 4095. All clips are then reduced to eight bits by one
factor, never image by image, because a network sees the difference between two images.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from mer_cli.datasets.frame_files import is_video
from mer_cli.errors import FaceError
from mer_cli.faces.pictures import DEEPEST, HEAD, may_be_deep, read_deep
from mer_cli.records import Clip, FrameRef

BITS = "bits"  # of a store's crop settings, if its images have more than eight bits
RANGES = (8, 10, 12, 14, DEEPEST)  # bits that a camera's values may have
N_THREADS = 8


def deep_bits(clips: Iterable[Clip]) -> int | None:
    """Return the number of bits used by the images of 16 bits a channel among all onsets and apexes.

    It is 8, 10, 12, 14 or 16, the first that the largest value of all clips fits into; None if there are no such
    images. An image that can't be read is left out.
    """
    wanted = {
        frame.path: frame
        for clip in clips
        for frame in clip.frames
        if frame.number in (clip.onset, clip.apex) and not is_video(frame.path)
    }
    return bits_of(wanted.values())


def bits_of(frames: Iterable[FrameRef]) -> int | None:
    """Return the number of bits used by those of the images that have 16 bits a channel, as `deep_bits`."""
    with ThreadPoolExecutor(N_THREADS) as threads:
        largest = max(threads.map(_largest_value, frames), default=-1)
    return None if largest < 0 else next(bits for bits in RANGES if largest < 1 << bits)


def _largest_value(frame: FrameRef) -> int:
    """Return the largest value of an image of 16 bits a channel; -1 for any other image."""
    try:
        with frame.path.open("rb", buffering=0) as file:
            if not may_be_deep(file.read(HEAD)):
                return -1
        values = read_deep(frame.path)
    except (OSError, FaceError):
        return -1
    return int(values.max()) if values is not None and values.dtype == "uint16" else -1
