"""A tiny release made of one real photograph (NASA, public domain): skimage's astronaut, moved a little a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from mer_cli.records import Clip, FrameRef, Release

# The head of the photograph, 320 x 360 pixels; found by Dlib at its first try.
HEAD = (slice(0, 288), slice(100, 356))
HEAD_SIZE = (320, 360)


def photograph() -> NDArray[np.uint8]:
    """Give the whole photograph, (512, 512, 3) uint8 RGB."""
    return skimage.data.astronaut()


def head(shift: float = 0.0) -> NDArray[np.uint8]:
    """Give the head alone, (360, 320, 3) uint8 RGB, moved to the right by `shift` pixels."""
    picture = cv2.resize(photograph()[HEAD], HEAD_SIZE, interpolation=cv2.INTER_LINEAR)
    return cv2.warpAffine(picture, np.float32([[1, 0, shift], [0, 1, 0]]), HEAD_SIZE, borderMode=cv2.BORDER_REPLICATE)


def in_large_picture(
    face: NDArray[np.uint8], size: tuple[int, int] = (2040, 1088), scale: float = 2.4, left: int = 600
) -> NDArray[np.uint8]:
    """Give a picture of `size`, (width, height), with a face enlarged `scale` times at its bottom, and sensor noise."""
    width, height = size
    big = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[:height]
    above, right = height - len(big), width - left - big.shape[1]
    picture = cv2.copyMakeBorder(big, above, 0, left, right, cv2.BORDER_REPLICATE)
    noise = np.random.default_rng(0).normal(0, 1.6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def write_picture(path: Path, picture: NDArray[np.uint8]) -> Path:
    """Write an RGB or grey picture in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(path.suffix, picture[..., ::-1] if picture.ndim == 3 else picture)[1]
    path.write_bytes(encoded.tobytes())
    return path


def with_comment(path: Path) -> Path:
    """Write subject and clip into a JPEG as a comment: the same pixels in other bytes, as of no other subject."""
    data, note = path.read_bytes(), "/".join(path.parts[-3:-1]).encode()
    path.write_bytes(data[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + data[2:])
    return path


def write_clip(root: Path, name: str = "EP01_01", *, subject: str = "01", n_frames: int = 12, **changes) -> Clip:
    """Write a clip of `n_frames` pictures, numbered from 40: onset on the first, apex in the middle, offset last."""
    frames = tuple(
        FrameRef(
            40 + k, with_comment(write_picture(root / f"sub{subject}" / name / f"img{40 + k}.jpg", head(0.25 * k)))
        )
        for k in range(n_frames)
    )
    fields = {
        "dataset": "casme2",
        "subject": subject,
        "name": name,
        "emotion": "happiness",
        "action_units": "6+12",
        "onset": 40,
        "apex": 40 + n_frames // 2,
        "offset": 40 + n_frames - 1,
        "fps": 200.0,
        "frames": frames,
    }
    return Clip(**(fields | changes))


def make_release(root: Path, clips: tuple[Clip, ...], **changes) -> Release:
    """Give the release of some clips."""
    fields = {
        "dataset": "casme2",
        "source": "raw",
        "table_path": root / "CASME2-coding-20190701.xlsx",
        "table_sha256": "0" * 64,
        "table_version": "20190701",
        "clips": clips,
    }
    return Release(**(fields | changes))


def write_release(root: Path, n_clips: int, **changes) -> Release:
    """Write a release of `n_clips` clips of eight frames, two a subject."""
    clips = [write_clip(root, f"EP{k:02d}", subject=f"{k // 2 + 1:02d}", n_frames=8) for k in range(n_clips)]
    return make_release(root, tuple(clips), **changes)
