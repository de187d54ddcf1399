"""Read the frames of a clip by their numbers, from image files or a video, in the same way for both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from mer_cli.datasets.frame_files import is_video
from mer_cli.errors import FaceError
from mer_cli.faces.pictures import Image as Image
from mer_cli.faces.pictures import check_picture, read_picture
from mer_cli.faces.videos import check_video, read_video
from mer_cli.records import Clip, FrameRef

WINDOW = 7  # frames kept around a labelled one, which is in the middle, at index 3
HALF_WINDOW = WINDOW // 2
NO_FRAME = -1  # the number of a window's entry that the release has no frame for


def read_frames(frames: Iterable[FrameRef], bits: int | None = None) -> Iterator[tuple[int, Image]]:
    """Read frames of a clip, each once, in the order of their numbers and one at a time.

    Parameters
    ----------
    bits : as in `read_picture`

    Yields
    ------
    the number of a frame and its image, (H, W, 3) uint8, RGB, 0-255; a grey image has three equal channels

    Raises
    ------
    FaceError
        If an image or video can't be read (see `read_picture` and `read_video`), or two images differ in size.
    """
    first: tuple[FrameRef, tuple[int, ...]] | None = None
    for frame, image in _read(frames, bits):
        first = first or (frame, image.shape)
        if image.shape != first[1]:
            raise _differs_in_size(*first, frame, image.shape)
        yield frame.number, image


def _read(frames: Iterable[FrameRef], bits: int | None) -> Iterator[tuple[FrameRef, Image]]:
    in_order = sorted(set(frames), key=lambda frame: frame.number)
    for path, group in groupby(in_order, key=lambda frame: frame.path):
        if is_video(path):
            yield from ((FrameRef(n, path), image) for n, image in read_video(path, [frame.number for frame in group]))
        else:
            yield from ((frame, read_picture(path, bits)) for frame in group)


def _differs_in_size(first: FrameRef, size: tuple[int, ...], other: FrameRef, other_size: tuple[int, ...]) -> FaceError:
    """Return the error for two images of a clip with different sizes: one transform can't fit both."""
    return FaceError(
        f"{other.path}: has {other_size[1]}x{other_size[0]} pixels, and {first.path.name} of the same clip "
        f"{size[1]}x{size[0]}. Expected one size, because a clip is cropped in one way. Take the images as they were "
        "recorded, or cut all images of the clip at one place."
    )


def read_frame(frame: FrameRef) -> Image:
    """Read one frame: (H, W, 3) uint8, RGB, 0-255; raise a FaceError if it can't be read."""
    return next(image for _, image in read_frames([frame]))


def check_frame(frame: FrameRef) -> None:
    """Raise the FaceError that reading a frame would raise, without decoding it; a whole release takes seconds.

    Only the ends of an image and the header of a video are read; damage in the middle is not seen.
    """
    if is_video(frame.path):
        check_video(frame.path, frame.number)
    else:
        check_picture(frame.path)


def window(clip: Clip, number: int) -> list[tuple[int, FrameRef]]:
    """Return seven pairs of a number and a frame: the frame `number` in the middle (index 3), and three on each side.

    If the clip lacks a neighbour, its pair is `NO_FRAME` with the nearest frame that exists (the earlier of two
    equally near), so that a window always has seven images.

    Raises
    ------
    FaceError
        If the clip lacks `number` itself.
    """
    frames = {frame.number: frame for frame in clip.frames}
    if number not in frames:
        raise FaceError(
            f"{clip.clip_id}: frame {number} has no image; frames {min(frames, default=None)} to "
            f"{max(frames, default=None)} do. Restore the image or correct the table."
        )
    wanted = range(number - HALF_WINDOW, number + HALF_WINDOW + 1)
    return [
        (n, frames[n])
        if n in frames
        else (NO_FRAME, min(clip.frames, key=lambda frame: (abs(frame.number - n), frame.number)))
        for n in wanted
    ]


def whole_clip(clip: Clip) -> tuple[FrameRef, ...]:
    """List the frames from onset to offset, ends included, that the release has."""
    return tuple(frame for frame in clip.frames if clip.onset <= frame.number <= clip.offset)


def needed_frames(clip: Clip) -> tuple[FrameRef, ...]:
    """List the frames that have to be read to crop a clip, sorted by number, each once; errors as in `window`.

    They are the windows of onset and apex. If the apex is still to be found by flow, they are the windows of onset and
    offset (which may turn out to be the apex) and all frames between.
    """
    by_flow = clip.apex_rule == "flow"
    labelled = (clip.onset, clip.offset if by_flow else clip.apex)
    needed = {frame for number in labelled for _, frame in window(clip, number)}
    if by_flow:
        needed.update(whole_clip(clip))
    return tuple(sorted(needed, key=lambda frame: frame.number))
