"""Maps against where the face really moved: known maps give known numbers; the truth comes into the crop unmoved."""

import numpy as np
import pytest
import torch
from tiny_truth import write_truth

from mer_cli.errors import RunError
from mer_cli.faces.crop import warp
from mer_cli.inference.truth import moved_region, read_displacements, score_maps, to_crop, to_grid
from mer_cli.models.mmnet import MMNet

CLIP = "casme2/01/EP01_01"


def region(rows, columns):
    made = np.zeros((224, 224), bool)
    made[rows, columns] = True
    return made


UPPER = region(slice(0, 56), slice(0, 112))  # an eighth of the crop
LOWER = region(slice(112, 224), slice(112, 224))  # a quarter


def test_a_map_equal_to_the_region_has_all_its_mass_there():
    scores = score_maps(np.stack([UPPER, LOWER]).astype(float), np.stack([UPPER, LOWER]))
    np.testing.assert_allclose(scores.mass, [8, 4])
    np.testing.assert_allclose(scores.elsewhere, 0)
    np.testing.assert_allclose(scores.hit, 1)


@pytest.mark.parametrize(("value", "size"), [(0.3, 112), (1.0, 14), (0.0, 14)])
def test_a_uniform_map_prefers_nothing_and_hits_like_a_random_point(value, size):
    scores = score_maps(np.full((2, size, size), value), np.stack([UPPER, LOWER]))
    np.testing.assert_allclose(scores.mass, 1)
    np.testing.assert_allclose(scores.elsewhere, 1)
    np.testing.assert_allclose(scores.hit, [1 / 8, 1 / 4])


def test_a_map_that_is_everywhere_but_there_scores_nothing():
    scores = score_maps(np.stack([~UPPER, ~LOWER]).astype(float), np.stack([UPPER, LOWER]))
    np.testing.assert_allclose([scores.mass, scores.hit], 0)


def test_mass_and_elsewhere_are_shares_over_the_share_of_the_area():
    # Three parts of the mass in the upper region, one part in the lower one.
    maps = (3 * UPPER / UPPER.sum() + LOWER / LOWER.sum())[None].repeat(2, axis=0)
    scores = score_maps(maps, np.stack([UPPER, LOWER]))
    np.testing.assert_allclose(scores.mass, [0.75 * 8, 0.25 * 4])
    np.testing.assert_allclose(scores.elsewhere, [0.25 * 4, 0.75 * 8])


def test_a_maximum_just_outside_the_region_is_no_hit():
    maps = np.full((2, 224, 224), 0.95)
    maps[0, 55, 111], maps[1, 55, 112] = 1, 1
    assert score_maps(maps, np.stack([UPPER, UPPER])).hit.tolist() == [1, 0]


def test_the_region_is_where_the_pictures_of_the_crop_differ():
    rng = np.random.default_rng(0)
    onset = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    apex, displacement = onset.copy(), np.zeros((300, 400, 2), np.float32)
    apex[60:90, 250:330] = 255 - apex[60:90, 250:330]
    displacement[60:90, 250:330] = (0.4, -0.9)
    turn = np.deg2rad(12)
    transform = np.array([[np.cos(turn), -np.sin(turn), -90], [np.sin(turn), np.cos(turn), -60]], np.float32) * 0.9
    differs = np.abs(warp(onset, transform).astype(int) - warp(apex, transform)).max(axis=2) > 40
    found = moved_region(displacement, transform)
    assert 0.03 < found.mean() < 0.05
    assert (differs & found).sum() / (differs | found).sum() > 0.9


def test_the_region_goes_down_to_half_of_the_greatest_length():
    displacement = np.zeros((224, 224, 2), np.float32)
    displacement[:10] = (3, 4)  # length 5
    displacement[10:20] = (0, -2.6)
    displacement[20:30] = (2.4, 0)
    rows = moved_region(displacement, np.eye(2, 3, dtype=np.float32)).any(axis=1)
    assert np.flatnonzero(rows).tolist() == list(range(20))


def test_no_motion_gives_no_region():
    assert not moved_region(np.zeros((300, 400, 2), np.float32), np.eye(2, 3, dtype=np.float32)).any()


def test_a_cell_lies_where_the_network_looks_from():
    """The gradient of a cell over the pixels is centred on it, if no weight has a side that it prefers."""
    network = MMNet(3, attention="independent", pc=False).eval()
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.constant_(parameter, 1 / parameter[0].numel())
    apex = torch.full((1, 3, 224, 224), 0.1, requires_grad=True)
    for block in network.forward_with_maps(torch.zeros_like(apex), apex)[1]:
        size = block.shape[-1]
        row, column = size // 2, size // 4
        (gradient,) = torch.autograd.grad(block[0, 0, row, column], apex, retain_graph=True)
        seen = gradient[0].sum(0).abs().double()
        centre = [float((seen.sum(1 - axis) * torch.arange(224)).sum() / seen.sum()) for axis in (0, 1)]
        cell = np.zeros((size, size))
        cell[row, column] = 1
        np.testing.assert_allclose(centre, np.argwhere(to_crop(cell) == 1)[0], atol=0.01)


def test_a_picture_reduced_and_enlarged_keeps_its_place_and_a_flat_one_its_value():
    spot = np.zeros((224, 224))
    spot[96, 160] = 1
    assert np.unravel_index(to_crop(to_grid(spot, 14)).argmax(), (224, 224)) == (96, 160)
    np.testing.assert_allclose(to_grid(np.full((2, 224, 224), 7.0), 28), 7)
    np.testing.assert_allclose(to_crop(np.full((2, 28, 28), 7.0)), 7)


def test_the_truth_is_read_from_the_release_or_from_its_folder(tmp_path):
    raw = write_truth(tmp_path / "raw")
    for folder in (raw, raw / "ground_truth"):
        found = read_displacements(folder, {CLIP: 10})
        assert found[CLIP].shape == (60, 80, 2)
        assert found[CLIP][10, 25].tolist() == pytest.approx([0.3, 1.2], abs=1e-3)


@pytest.mark.parametrize(
    ("onsets", "said"),
    [
        ({CLIP: 11}, "casme2/01/EP01_01 has an onset of 10, and the store has an onset of 11"),
        ({"casme2/09/EP01_01": 10}, "casme2/09/EP01_01 is missing, and the store has an onset of 10"),
    ],
)
def test_the_truth_of_another_release_is_refused(tmp_path, onsets, said):
    raw = write_truth(tmp_path / "raw")
    with pytest.raises(RunError) as caught:
        read_displacements(raw, onsets)
    assert str(caught.value) == (
        f"{raw / 'ground_truth' / 'clips.csv'}: {said}. Name the release that the store was built from: --truth RAW."
    )


def test_a_folder_without_truth_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"clips\.csv: can't be read as the truth .*\(FileNotFoundError.* or its groun"):
        read_displacements(tmp_path, {CLIP: 10})


@pytest.mark.parametrize("damage", ["gone", "cut", "flat"])
def test_a_damaged_truth_is_named(tmp_path, damage):
    file = write_truth(tmp_path / "raw") / "ground_truth/01/EP01_01.npz"
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:100])
    else:
        np.savez(file, displacement=np.zeros((4, 4)))
    with pytest.raises(RunError, match=r"EP01_01\.npz: can't be read as the displacement .* the same seed"):
        read_displacements(tmp_path / "raw", {CLIP: 10})
