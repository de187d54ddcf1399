"""All frames of one clip come in, cropped and compressed they go out, as they will lie in the store; kept as a part."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import Transform, warp
from mer_cli.faces.frames import read_frames, whole_clip
from mer_cli.records import Clip
from mer_cli.store.parts import load_arrays, save_arrays

GZIP_LEVEL = 1  # HDF5's gzip filter is zlib's format, so that a frame is compressed where it is cut

_NUMBERS, _SIZES, _DATA, _DIGEST = "numbers", "sizes", "data", "digest"


@dataclass(frozen=True)
class EncodedClip:
    """The frames of a clip from onset to offset.

    numbers : (T,) int32, of the frames, ascending
    sizes : (T,) int64, bytes of each compressed frame
    data : the compressed frames, one after another, (sum of sizes,) uint8
    digest : SHA-256 over the frames as they were before
    """

    numbers: NDArray[np.int32]
    sizes: NDArray[np.int64]
    data: NDArray[np.uint8] = field(repr=False)
    digest: str


def encode_clip(clip: Clip, transform: Transform) -> EncodedClip:
    """Read, crop and compress a clip, one frame after another.

    Parameters
    ----------
    transform : (2, 3) float32, source pixel -> crop pixel, for every frame

    Raises
    ------
    FaceError
        If a frame cannot be read.
    """
    numbers, compressed, content = [], [], hashlib.sha256()
    for number, image in read_frames(whole_clip(clip)):
        crop = warp(image, transform).tobytes()
        content.update(crop)
        numbers.append(number)
        compressed.append(zlib.compress(crop, GZIP_LEVEL))
    return EncodedClip(
        numbers=np.array(numbers, np.int32),
        sizes=np.array([len(frame) for frame in compressed], np.int64),
        data=np.frombuffer(b"".join(compressed), np.uint8),
        digest=content.hexdigest(),
    )


def save_clip(path: Path, clip: EncodedClip) -> None:
    """Keep a clip as a part.

    Raises
    ------
    OSError
        If the disk is full or cannot be written.
    """
    save_arrays(path, {_NUMBERS: clip.numbers, _SIZES: clip.sizes, _DATA: clip.data, _DIGEST: np.array(clip.digest)})


def load_clip(path: Path) -> EncodedClip:
    """Read a clip's part.

    Raises
    ------
    StoreError
        If it is absent or damaged.
    """
    numbers, sizes, data, digest = load_arrays(path, (_NUMBERS, _SIZES, _DATA, _DIGEST))
    return EncodedClip(numbers, sizes, data, str(digest))


def load_sizes(path: Path) -> NDArray[np.int64]:
    """Read the sizes of a part's frames, and nothing else of it; errors as `load_clip`."""
    (sizes,) = load_arrays(path, [_SIZES])
    return sizes
