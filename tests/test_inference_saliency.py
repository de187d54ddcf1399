"""Attributions: they light up where a network looks that was built by hand, whatever its planes are cut from."""

import numpy as np
import pytest
import torch
from torch import nn

from mer_cli.errors import RunError
from mer_cli.inference.on_crop import put_on_crop, show_motion
from mer_cli.inference.saliency import explain_clips
from mer_cli.inference.truth import ATTENTION, ATTRIBUTION
from mer_cli.models.mmnet import MMNet
from mer_cli.motion.images import cut_patches, resize
from mer_cli.motion.inputs import GRID, MotionInput, PairInput

FLOW = MotionInput(28, ("u", "v"))
ROWS, COLUMNS = slice(14, 18), slice(5, 9)  # of 28: crop rows 112 to 143 and columns 40 to 71


class Looking(nn.Module):
    """A network whose second class leads by what one place of its last input shows; `shift` is added to all logits."""

    def __init__(self, plane=0, rows=ROWS, columns=COLUMNS, shift=False):
        super().__init__()
        self.plane, self.rows, self.columns, self.shift = plane, rows, columns, shift

    def forward(self, *images):
        image = images[-1]
        lead = image[:, self.plane, self.rows, self.columns].mean((1, 2))
        everywhere = 100 * image.abs().mean((1, 2, 3)) if self.shift else 0 * lead
        return torch.stack([everywhere, lead + everywhere, everywhere - lead], dim=1)


def flow_of(n_clips=2, size=28, n_planes=2):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(n_clips, n_planes, size, size)).astype(np.float32))


def explained(network, inputs, sees=FLOW, **options):
    return explain_clips(network.eval(), inputs, sees, name="mynet.py:MyNet", **options)


def inside(shown, rows, columns):
    """The share of a map that lies in a part of the crop."""
    return float(shown[rows, columns].sum() / shown.sum())


@pytest.mark.parametrize("shift", [False, True])
def test_a_map_lights_up_where_the_network_looks_and_what_moves_no_answer_is_dark(shift):
    found = explained(Looking(plane=1, shift=shift), [flow_of()])
    assert found.kind == ATTRIBUTION
    assert (found.maps.shape, found.maps.dtype) == ((2, 224, 224), np.float32)
    for shown in found.maps:
        assert (float(shown.min()), float(shown.max())) == (0, 1)
        assert inside(shown, slice(104, 152), slice(32, 80)) > 0.95
        assert inside(shown, slice(112, 144), slice(40, 72)) > 0.7


def test_a_network_on_two_images_is_explained_by_what_changed_after_the_onset():
    onset = flow_of(1, 224, 3)
    apex = onset.clone()
    apex[:, 0, 60:100, 20:90] += 0.5
    apex[:, 0, 150:180, 150:180] += 5  # where the network doesn't look
    network = Looking(rows=slice(40, 140), columns=slice(0, 224))
    (shown,) = explained(network, [onset, apex], PairInput()).maps
    assert inside(shown, slice(48, 112), slice(8, 102)) > 0.95
    (still,) = explained(network, [onset, onset], PairInput()).maps
    assert not still.any()


def test_blocks_of_the_apex_return_to_their_places():
    sees = MotionInput(48, ("apex", "apex-grid", "u"))
    looks = Looking(plane=1 + 6, rows=slice(0, 48), columns=slice(0, 48))  # the block in row 1, column 2
    (shown,) = explained(looks, [flow_of(1, 48, 18)], sees).maps
    assert inside(shown, slice(46, 122), slice(102, 178)) > 0.99


def test_patches_return_to_their_landmarks():
    landmarks = np.full((68, 2), 30, np.float32)
    landmarks[19] = (150, 80)  # the third point of the brows
    sees = MotionInput(7, ("patches",))
    looks = Looking(plane=2, rows=slice(0, 7), columns=slice(0, 7))
    (shown,) = explained(looks, [flow_of(1, 7, 30)], sees, landmarks=landmarks[None]).maps
    assert inside(shown, slice(65, 95), slice(135, 165)) > 0.95
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert (abs(row - 80) <= 6, abs(column - 150) <= 6) == (True, True)


@pytest.mark.parametrize(
    "sees",
    [
        FLOW,
        MotionInput(227, ("u", "v")),
        MotionInput(48, ("apex", "apex-grid", "v")),
        MotionInput(9, ("patches",)),
    ],
)
def test_the_sum_is_kept_and_a_plane_is_put_where_it_was_made(sees):
    rng = np.random.default_rng(1)
    landmarks = rng.uniform(20, 200, (68, 2)).astype(np.float32)
    amounts = rng.random((sees.n_planes, sees.size, sees.size)).astype(np.float32)
    assert put_on_crop(amounts, sees, landmarks).sum() == pytest.approx(amounts.sum(), rel=1e-4)


def test_a_face_goes_to_its_planes_and_back():
    face = np.zeros((224, 224), np.float32)
    face[70:110, 130:190] = 1
    blocks = [block for band in np.split(face, GRID) for block in np.split(band, GRID, axis=1)]
    for sees, planes in (
        (MotionInput(28, ("u",)), [resize(face, 28)]),
        (MotionInput(48, ("apex-grid",)), [resize(block, 48) for block in blocks]),
    ):
        back = put_on_crop(np.stack(planes), sees)
        assert np.corrcoef(back.ravel(), face.ravel())[0, 1] > 0.95


def test_planes_of_motion_are_shown_in_their_own_unit_and_the_apex_is_not_motion():
    landmarks = np.random.default_rng(1).uniform(20, 200, (68, 2)).astype(np.float32)
    plane = np.zeros((128, 128), np.float32)
    plane[20:30, 40:50] = 3
    images = np.concatenate([flow_of(1, 7, 2)[0].numpy(), cut_patches(plane, landmarks, 128 / 224)])
    shown = show_motion(images, MotionInput(7, ("apex", "u", "patches")), landmarks)
    assert list(shown) == ["u", "patches"]
    np.testing.assert_array_equal(shown["u"][::32, ::32], images[1])
    assert shown["patches"].shape == (224, 224)


def test_a_clips_map_does_not_depend_on_the_clips_beside_it_nor_on_chance():
    flow = flow_of(3)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 5), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten(), nn.Linear(2304, 3)
    )
    everything = explained(network, [flow]).maps
    torch.manual_seed(5)
    np.testing.assert_array_equal(explained(network, [flow[1:2]]).maps, everything[1:2])


def test_the_class_that_is_named_is_explained():
    class Two(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, :4].mean((1, 2)), x[:, 0, 20:].mean((1, 2)), 0 * x.mean((1, 2, 3))], dim=1)

    x = flow_of(1)
    upper, lower = (explained(Two(), [x], classes=[label]).maps[0] for label in (0, 1))
    assert inside(upper, slice(0, 112), slice(0, 224)) > 0.6 > 0.4 > inside(lower, slice(0, 112), slice(0, 224))


def test_a_network_may_change_its_input_in_place():
    class Changing(Looking):
        def forward(self, x):
            return super().forward(x.mul_(2))

    flow = flow_of(1)
    before = flow.clone()
    (shown,) = explained(Changing(), [flow]).maps
    assert inside(shown, slice(104, 152), slice(32, 80)) > 0.95
    assert torch.equal(flow, before)


def test_a_network_that_hides_its_gradients_is_named():
    class Hidden(Looking):
        def forward(self, x):
            return super().forward(x.detach())

    with pytest.raises(RunError) as error:
        explained(Hidden(), [flow_of(1)])
    said = str(error.value)
    assert said.startswith("mynet.py:MyNet: its answer can't be traced back to its input by gradients (")
    assert said.endswith("). Let forward compute with torch alone, without detach(), no_grad() and numpy.")


def test_gradients_that_are_not_finite_are_refused():
    class Endless(Looking):
        def forward(self, x):
            return super().forward(x) + 0 * (x - x).abs().sqrt().sum()

    with pytest.raises(RunError) as error:
        explained(Endless(), [flow_of(1)])
    assert str(error.value) == (
        "mynet.py:MyNet: the gradients of its answer are not finite, so it can't be explained. Keep square roots, "
        "logarithms and divisions away from 0, or train with a lower learning rate."
    )


def test_mmnet_with_attention_shows_the_mean_of_its_maps_and_without_an_attribution():
    torch.manual_seed(0)
    pair = [flow_of(1, 224, 3), flow_of(1, 224, 3) * 0.9]
    network = MMNet(3, pc=False).eval()
    found = explained(network, pair, PairInput())
    assert found.kind == ATTENTION
    with torch.no_grad():
        maps = [block[0, 0].numpy() for block in network.forward_with_maps(*pair)[1]]
    expected = np.mean([block[:: block.shape[0] // 14, :: block.shape[0] // 14] for block in maps], axis=0)
    np.testing.assert_allclose(found.maps[0, ::16, ::16], expected, atol=1e-5)  # cell i is centred on pixel 16 i
    plain = MMNet(3, pc=False, attention="none", stem="literal").eval()
    plain.requires_grad_(requires_grad=False)
    assert explained(plain, [image[..., ::1, ::1] for image in pair], PairInput()).kind == ATTRIBUTION
