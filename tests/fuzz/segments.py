"""Damage the structure of images and videos: chunks, markers, boxes and entries, and the sizes that they declare.

Bytes that are damaged anywhere mostly end in the first check of a decoder; a chunk that is left out, repeated or that
declares another length reaches the code behind it.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

from hypothesis import strategies as st

PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = (0, 1, 2, 255, 0x7FFF, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

segment_damages = st.lists(
    st.tuples(
        st.sampled_from(["drop", "repeat", "swap", "number"]),
        st.floats(0, 1, exclude_max=True),  # which segment
        st.floats(0, 1, exclude_max=True),  # where in it, or which other segment
        st.sampled_from(NUMBERS),
        st.sampled_from(["<H", ">H", "<I", ">I"]),
    ),
    max_size=3,
)


def segments(content: bytes) -> list[bytes]:
    """Split a file into its parts, which joined give the file again; one part if its format is not known."""
    if content.startswith(PNG):
        return [PNG, *_by_length(content[8:], lambda at: 12 + struct.unpack(">I", at[:4])[0])]
    if content.startswith(b"\xff\xd8"):
        return [content[:2], *_by_length(content[2:], _jpeg_segment)]
    if content[4:8] in {b"ftyp", b"jP  "}:
        return _by_length(content, lambda at: max(struct.unpack(">I", at[:4])[0], 8))
    if content.startswith(b"RIFF"):
        return [content[:12], *_by_length(content[12:], _riff_chunk)]
    if content.startswith(b"II*\0"):
        return _tiff_entries(content)
    return [content[place : place + 4] for place in range(0, 64, 4)] + [content[64:]]


def _by_length(content: bytes, length_of) -> list[bytes]:
    parts = []
    while len(content) >= 12:
        n_bytes = min(length_of(content), len(content))
        parts.append(content[:n_bytes])
        content = content[n_bytes:]
    return [*parts, content]


def _jpeg_segment(at: bytes) -> int:
    return len(at) if at[1] == 0xDA else 2 + struct.unpack(">H", at[2:4])[0]  # the scan and all after it


def _riff_chunk(at: bytes) -> int:
    """A list's head alone, so that its parts are segments too."""
    n_bytes = struct.unpack("<I", at[4:8])[0]
    return 12 if at[:4] == b"LIST" else 8 + n_bytes + n_bytes % 2


def _tiff_entries(content: bytes) -> list[bytes]:
    start = struct.unpack("<I", content[4:8])[0]
    (n_entries,) = struct.unpack("<H", content[start : start + 2])
    places = [0, 4, 8, start, start + 2, *(start + 2 + 12 * (n + 1) for n in range(n_entries)), len(content)]
    return [content[begin:end] for begin, end in pairwise(places)]


def with_damaged_segments(content: bytes, damage: list[tuple[str, float, float, int, str]]) -> bytes:
    """Return a file after each damage of the list; the checksums of a PNG's chunks are right again."""
    parts = segments(content)
    for kind, share, other, number, form in damage:
        at = int(share * len(parts))
        if kind == "drop" and len(parts) > 1:
            del parts[at]
        elif kind == "repeat":
            parts.insert(at, parts[at])
        elif kind == "swap":
            to = int(other * len(parts))
            parts[at], parts[to] = parts[to], parts[at]
        elif kind == "number":
            value = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            place = int(other * min(len(parts[at]), 64))
            parts[at] = parts[at][:place] + value + parts[at][place + len(value) :]
    if content.startswith(PNG):
        parts = [_with_checksum(part) for part in parts]
    return b"".join(parts)


def _with_checksum(chunk: bytes) -> bytes:
    return chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4])) if len(chunk) >= 12 else chunk
