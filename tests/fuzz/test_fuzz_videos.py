"""Damage to videos: a clear error, or some frames, and never more than 2 GiB."""

import cv2
import numpy as np
from campaign import Tally, campaign, damaged, damages, outcome, sizes
from hypothesis import strategies as st
from segments import segment_damages, with_damaged_segments

FORMATS = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "mp4v"}
N_FRAMES = 9


def write(path, codec):
    """A video of 96x80 pixels in which a bright bar moves."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 30.0, (96, 80))
    for number in range(N_FRAMES):
        frame = np.full((80, 96, 3), 60, np.uint8)
        frame[:, 8 * number : 8 * number + 12] = (200, 180, 160)
        writer.write(frame)
    writer.release()
    return path.read_bytes()


def read(path):
    from mer_cli.datasets.frame_files import list_video
    from mer_cli.faces.videos import check_video, read_video

    frames = list_video(path)
    check_video(path, frames[-1].number)
    return list(read_video(path, [1, 4, frames[-1].number]))


@sizes
def test_a_damaged_video_is_read_or_refused(n_cases, tmp_path):
    whole = {suffix: write(tmp_path / f"clip{suffix}", codec) for suffix, codec in FORMATS.items()}
    _, undisturbed = outcome(read, tmp_path / "clip.avi")

    def tried(case):
        suffix, structure, bytes_ = case
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(damaged(with_damaged_segments(whole[suffix], structure), bytes_))
        return outcome(read, path)

    some_bytes = st.one_of(st.just([]), damages)
    cases = st.tuples(st.sampled_from(sorted(whole)), segment_damages, some_bytes)
    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))
