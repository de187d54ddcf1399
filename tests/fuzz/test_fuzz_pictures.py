"""Damage to image files in every format that is read: a clear error, or some image, and never more than 2 GiB."""

from functools import cache

import cv2
import numpy as np
from campaign import Tally, campaign, damaged, damages, outcome, sizes
from hypothesis import strategies as st
from segments import segment_damages, with_damaged_segments

SUFFIXES = (".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm", ".jp2")
DEEP = (".png", ".tif", ".ppm", ".jp2")
BITS = 12


@cache
def whole(suffix, *, is_deep):
    """A drawn face of 96x80 pixels, smooth with some noise, in the format of the suffix."""
    y, x = np.mgrid[:80, :96]
    face = 120 + 80 * np.cos(x / 15)[..., None] * np.sin(y / 11)[..., None] * np.array([1, 0.8, 0.6])
    face = np.clip(face + np.random.default_rng(0).normal(0, 2, face.shape), 0, 255).astype(np.uint8)
    image = face.astype(np.uint16) << (BITS - 8) if is_deep else face
    return cv2.imencode(suffix, image)[1].tobytes()


def read(path):
    from mer_cli.faces.pictures import check_picture, read_picture

    check_picture(path)
    return read_picture(path, BITS)


formats = st.one_of(
    st.tuples(st.sampled_from(SUFFIXES), st.just(False)), st.tuples(st.sampled_from(DEEP), st.just(True))
)


@sizes
def test_a_damaged_image_is_read_or_refused(n_cases, tmp_path):
    def tried(case):
        (suffix, is_deep), structure, bytes_ = case
        content = with_damaged_segments(whole(suffix, is_deep=is_deep), structure)
        path = tmp_path / f"img46{suffix}"
        path.write_bytes(damaged(content, bytes_))
        return outcome(read, path)

    path = tmp_path / "img46.png"
    path.write_bytes(whole(".png", is_deep=False))
    _, undisturbed = outcome(read, path)
    some_bytes = st.one_of(st.just([]), damages)
    campaign(n_cases, st.tuples(formats, segment_damages, some_bytes), tried, Tally(undisturbed, may_change=True))
