"""The small network on canonical flow: members, mirror images, and its parts' sizes."""

import pytest
import torch
import torch.nn.functional as F

from mer_cli.models.canonical_cnn import CanonicalCNN, mirrored
from mer_cli.runs.methods import METHODS


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CanonicalCNN(5).eval()


def test_its_entry_builds_it():
    assert isinstance(METHODS["canonical-cnn"].build(3), CanonicalCNN)
    assert (
        sum(parameter.numel() for parameter in CanonicalCNN(5).parameters()) == 7887
    )  # 5 (288 + 32 + 4608 + 64 + 2565)


def test_a_mirror_image_gets_the_same_answer(network):
    motion = torch.randn(4, 2, 16, 16)
    torch.testing.assert_close(network(motion), network(mirrored(motion)))
    assert not torch.allclose(network(motion), network(motion.flip(-1)))  # u keeps its sign: not a mirror's motion


def test_motion_to_the_right_is_to_the_left_in_a_mirror():
    motion = torch.zeros(1, 2, 4, 4)
    motion[0, :, 1, 0] = torch.tensor([3.0, 5.0])
    expected = torch.zeros(1, 2, 4, 4)
    expected[0, :, 1, 3] = torch.tensor([-3.0, 5.0])
    assert torch.equal(mirrored(motion), expected)


def test_members_are_networks_of_their_own_whose_log_probabilities_are_averaged(network):
    motion = torch.randn(3, 2, 16, 16)
    alone = []
    for member in range(3):
        copy = CanonicalCNN(5, n_members=1).eval()
        state = {
            name: tensor.chunk(3)[member] if tensor.ndim else tensor for name, tensor in network.state_dict().items()
        }
        copy.load_state_dict(state)
        alone.append(copy(motion))
    torch.testing.assert_close(network(motion), torch.stack(alone).mean(dim=0))
    assert not torch.allclose(alone[0], alone[1])


def test_the_loss_of_a_clip_reaches_every_member(network):
    F.cross_entropy(network(torch.randn(4, 2, 16, 16)), torch.tensor([0, 1, 2, 3])).backward()
    of_members = network.head.weight.grad.chunk(3)
    assert all(float(gradient.abs().max()) > 0 for gradient in of_members)
