"""Batches against torchvision's own flip, rotation and crop, and against PIL-free arithmetic on single pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from mer_cli.runs.config import resolve_config
from mer_cli.training.batches import CENTRE, EpochDraw, PairBatches, Windows, frame_ranges

SIZE = 32
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def make_windows(onset=(10, 10), apex=(30, 118), missing=(), offset=(50, 200)):
    """Two clips of random pictures; `missing` frame numbers are not in the release."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, len(onset), 7, SIZE, SIZE, 3), dtype=np.uint8)
    numbers = np.array([[[n + k for k in range(-3, 4)] for n in row] for row in (onset, apex)], dtype=np.int32)
    numbers[np.isin(numbers, missing)] = -1
    return Windows(pictures[0], pictures[1], numbers[0], numbers[1], np.array(offset, np.int32))


def make_draw(**changes):
    """A draw of one clip that changes nothing, and then the given changes."""
    plain = {
        "row": torch.tensor([1]),
        "onset_frame": torch.tensor([CENTRE]),
        "apex_frame": torch.tensor([CENTRE]),
        "flip": torch.tensor([False]),
        "angle": torch.zeros(1),
        "shift": torch.zeros(1, 2, dtype=torch.int64),
        "color": torch.ones(1, 3),
    }
    return EpochDraw(**(plain | changes))


def batches_of(windows, **settings):
    return PairBatches(windows, resolve_config(**settings), torch.device("cpu"))


def normalised(picture):
    return torch.from_numpy(((picture / 255 - MEAN) / STD).transpose(2, 0, 1)).float()


def test_a_draw_that_changes_nothing_gives_the_normalised_labelled_frames():
    windows = make_windows()
    batches = batches_of(windows)
    for onset, apex in (
        batches.training_batch(make_draw(), slice(0, 1)),
        batches.plain_batch(torch.tensor([1])),
    ):
        torch.testing.assert_close(onset[0], normalised(windows.onset[1, CENTRE]))
        torch.testing.assert_close(apex[0], normalised(windows.apex[1, CENTRE]))
        assert onset.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("flip", "degrees", "shift"), [(True, 0, (0, 0)), (False, 0, (5, -7)), (False, 3, (0, 0)), (True, -3, (4, 9))]
)
def test_augmentation_equals_torchvisions_flip_rotation_and_padded_crop(flip, degrees, shift):
    windows = make_windows()
    draw = make_draw(
        flip=torch.tensor([flip]), angle=torch.deg2rad(torch.tensor([float(degrees)])), shift=torch.tensor([shift])
    )
    pair = batches_of(windows).training_batch(draw, slice(0, 1))
    for picture, ours in zip((windows.onset[1, CENTRE], windows.apex[1, CENTRE]), pair, strict=True):
        theirs = normalised(picture)
        theirs = tv.horizontal_flip(theirs) if flip else theirs
        theirs = tv.rotate(theirs, degrees, interpolation=InterpolationMode.NEAREST)
        theirs = tv.crop(tv.pad(theirs, 15), 15 + shift[1], 15 + shift[0], SIZE, SIZE)
        differing = (ours[0] != theirs).any(0) & ~torch.isclose(ours[0], theirs, atol=1e-5).all(0)
        # A rounding of exactly half a pixel may fall to the other neighbour; nothing else may differ.
        assert differing.float().mean().item() < 0.005


def test_onset_and_apex_share_one_draw():
    """With the same picture on both sides and every augmentation on, the pair stays equal."""
    windows = make_windows()
    same = replace(windows, apex=windows.onset, apex_numbers=windows.onset_numbers)
    batches = batches_of(same, color_jitter=0.4, frame_jitter="none", rotation=20.0)
    rng = np.random.default_rng(3)
    seen = []
    for _ in range(8):
        onset, apex = batches.training_batch(batches.draw_epoch(np.array([0, 1]), rng), slice(0, 2))
        torch.testing.assert_close(onset, apex, rtol=0, atol=0)
        seen.append(onset)
    assert not torch.equal(seen[0], seen[1])


def test_color_jitter_keeps_values_in_range_and_a_grey_picture_grey():
    windows = make_windows()
    grey = np.repeat(windows.onset[..., :1], 3, axis=-1)
    batches = batches_of(replace(windows, onset=grey, apex=grey), color_jitter=0.5)
    onset, _ = batches.training_batch(make_draw(color=torch.tensor([[1.4, 0.6, 1.5]])), slice(0, 1))
    shown = onset[0] * torch.from_numpy(STD[:, None, None]) + torch.from_numpy(MEAN[:, None, None])
    assert shown.min() >= -1e-6
    assert shown.max() <= 1 + 1e-6
    torch.testing.assert_close(shown[0], shown[2], rtol=0, atol=1e-5)


def test_released_jitter_reaches_forward_from_the_onset_and_back_from_the_apex():
    """floor(.15 * rise / 4): 0 for a rise of 20, 4 for one of 108, of which the window holds 3."""
    low, high = frame_ranges(make_windows(onset=(10, 10), apex=(30, 118)), "released")
    assert low.tolist() == [[3, 3], [3, 0]]
    assert high.tolist() == [[3, 6], [3, 3]]


def test_around_jitter_never_draws_a_frame_that_the_release_lacks():
    low, high = frame_ranges(make_windows(onset=(10, 10), apex=(30, 118), missing=(7, 8, 9, 32)), "around")
    assert low.tolist() == [[3, 3], [1, 1]]
    assert high.tolist() == [[5, 5], [4, 5]]


def test_an_epoch_draws_every_clip_once_and_stays_within_its_limits():
    batches = batches_of(make_windows(onset=(10,) * 40, apex=(118,) * 40, offset=(200,) * 40))
    draw = batches.draw_epoch(np.arange(5, 40), np.random.default_rng(0))
    assert sorted(draw.row.tolist()) == list(range(5, 40))
    assert draw.row.tolist() != list(range(5, 40))
    assert set(draw.onset_frame.tolist()) == {3, 4, 5, 6}
    assert set(draw.apex_frame.tolist()) == {0, 1, 2, 3}
    assert draw.angle.abs().max() <= np.deg2rad(3)
    assert draw.shift.abs().max() == 15
    assert 5 < draw.flip.sum() < 30


def test_the_three_class_script_draws_on_both_sides_of_the_apex():
    """`CASME2_3.py`: .2 of a quarter of the rise after the onset, .15 before the apex, .15 of the fall after it."""
    low, high = frame_ranges(make_windows(onset=(10, 10), apex=(30, 90), offset=(110, 150)), "released-3")
    assert (low - CENTRE).tolist() == [[0, 0], [0, -3]]  # apex: .15 * 20 / 4 and .15 * 80 / 4 frames early
    assert (high - CENTRE).tolist() == [[1, 3], [3, 2]]  # onset: .2 * 20 / 4, 80 / 4; apex: .15 * 80 / 4, 60 / 4 late
