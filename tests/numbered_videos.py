"""Write small videos in every container; each frame shows its number in a pattern that survives compression."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

N_BITS = 8
SIDE = 16
WIDTH, HEIGHT = N_BITS * SIDE, 3 * SIDE
FPS = 25
QUIET = {"x265-params": "log-level=none"}


@dataclass(frozen=True)
class Format:
    """One way to write a video: the file's extension, the codec, its pixels and options, the muxer and its options."""

    suffix: str
    codec: str
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    muxer: str | None = None
    muxing: dict[str, str] = field(default_factory=dict)

    def __str__(self):
        return f"{self.codec}-{self.pixels}{self.suffix}"


B_FRAMES = {"bf": "2", "g": "10"}
FORMATS = (
    Format(".avi", "mjpeg", "yuvj420p"),
    Format(".avi", "mpeg4", options=B_FRAMES),
    Format(".mp4", "libx264", options=B_FRAMES | {"sc_threshold": "0"}),
    Format(".mov", "prores_ks", "yuv422p10le"),
    Format(".m4v", "libx264", "yuv444p", {"g": "10"}),
    Format(".3gp", "libx264", options={"g": "10"}),
    Format(".mkv", "libx265", "yuv420p10le", QUIET),
    Format(".mkv", "libx264", "yuv420p10le", B_FRAMES),
    Format(".webm", "libvpx-vp9", options={"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    Format(".webm", "libvpx", options={"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    Format(".mts", "libx264", options=B_FRAMES, muxer="mpegts"),
    Format(".flv", "flv"),
    Format(".mpeg", "mpeg2video", options=B_FRAMES),
    Format(".wmv", "wmv2", options={"g": "10"}),
)
MP4 = FORMATS[2]


def picture(number, width=WIDTH, height=HEIGHT):
    """A picture with the bits of `number` as squares along its top, above a grey that is darker to the left."""
    image = np.full((height, width, 3), 90, np.uint8)
    image[SIDE:] = np.linspace(60, 200, width, dtype=np.uint8)[None, :, None]
    for bit in range(N_BITS):
        image[:SIDE, bit * SIDE : (bit + 1) * SIDE] = 235 if number >> bit & 1 else 20
    return image


def number_in(image):
    """The number that a picture shows."""
    middle = image[SIDE // 4 : SIDE * 3 // 4]
    squares = [middle[:, bit * SIDE + 4 : (bit + 1) * SIDE - 4].mean() for bit in range(N_BITS)]
    return sum(1 << bit for bit, value in enumerate(squares) if value > 128)


def write(path, kind=MP4, n_frames=30, *, stamps=None, rate=FPS, turn=0, size=(WIDTH, HEIGHT), to=None):
    """Write a video with the frames 1 to `n_frames`.

    stamps : when each frame is shown, in milliseconds; by default every 1/rate seconds
    turn : degrees, counterclockwise, by which players turn the stored frames
    to : an open file to write to in place of `path`
    """
    try:
        av.Codec(kind.codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this build of PyAV has no encoder {kind.codec}")
    muxer = kind.muxer or (to and kind.suffix[1:])
    with av.open(str(path) if to is None else to, "w", format=muxer, options=dict(kind.muxing)) as container:
        stream = container.add_stream(kind.codec, rate=rate, options=dict(kind.options))
        shape = np.rot90(picture(0, *size), -turn // 90).shape
        stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], kind.pixels
        if stamps:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for number in range(1, n_frames + 1):
            upright = picture(number, *size)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(upright, -turn // 90)), format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[number - 1], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class Unseekable:
    """A file that can't go back, so that a muxer can't write the duration into the header, as in a browser."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data):
        return self._file.write(data)

    def close(self):
        self._file.close()
