"""The network against evaluation arithmetic done elsewhere: a float64 NumPy reference of equations 1-3, layer sizes."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from mer_cli.models.mmnet import BALANCED_DEVIATION, CABlock, MMNet, SpatialAttention
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import METHODS
from mer_cli.runs.variants import VARIANTS


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MMNet(5).eval()


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_mmnet_has_the_released_number_of_parameters(network):
    assert n_parameters(network) == 9_438_841
    parts = [network.stem, *network.blocks, network.position, network.head]
    assert [n_parameters(part) for part in parts] == [212_836, 164_356, 180_996, 394_756, 1_575_940, 6_408_192, 501_765]


def test_mmnet_uses_every_parameter():
    torch.manual_seed(0)
    network = MMNet(3)
    onset, apex = torch.randn(2, 2, 3, 224, 224)
    network(onset, apex).square().sum().backward()
    unused = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    silent = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]
    # The key bias shifts all scores of a query alike, so a softmax never sees it; it still lies in a used tensor.
    assert unused == []
    assert silent == []


def test_main_branch_sees_only_the_difference(network):
    onset, apex = torch.randn(2, 1, 3, 224, 224)
    with torch.no_grad():
        _, maps = network.forward_with_maps(onset, apex)
        _, shifted = network.forward_with_maps(onset + 1, apex + 1)
    for one, other in zip(maps, shifted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_position_branch_sees_four_pixels_of_each_cell_of_the_onset(network):
    """Bilinear scaling by 16 without antialiasing is the mean of the pixels at rows and columns 16i+7 and 16i+8."""
    onset, apex = torch.randn(2, 1, 3, 224, 224)
    seen = torch.zeros(224, dtype=torch.bool)
    seen[7::16], seen[8::16] = True, True
    blind = onset.clone()
    blind[..., ~(seen[:, None] & seen[None, :])] = 5.0
    with torch.no_grad():
        torch.testing.assert_close(network.position(onset), network.position(blind))
        assert not torch.allclose(network.position(onset), network.position(onset.flip(-1)))
    assert apex.shape == onset.shape


def test_maps_have_the_sizes_of_the_blocks_and_only_ever_close(network):
    onset, apex = torch.randn(2, 2, 3, 224, 224)
    with torch.no_grad():
        logits, maps = network.forward_with_maps(onset, apex)
        torch.testing.assert_close(logits, network(onset, apex))
    assert [tuple(m.shape) for m in maps] == [(2, 1, size, size) for size in (112, 56, 28, 14)]
    for earlier, later in pairwise(maps):
        ceiling = torch.nn.functional.max_pool2d(earlier, 3, 2, 1)
        assert (later <= ceiling + 1e-6).all()


def conv_reference(x, weight, stride, padding):
    """A convolution as a sum over taps, float64; x (C, H, W), weight (O, C, k, k)."""
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = (x.shape[1] + 2 * padding - k) // stride + 1
    out = np.zeros((weight.shape[0], size, size))
    for i in range(k):
        for j in range(k):
            patch = padded[:, i : i + stride * size : stride, j : j + stride * size : stride]
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], patch)
    return out


def norm_reference(x, norm):
    mean, var = norm.running_mean.double().numpy(), norm.running_var.double().numpy()
    weight, bias = norm.weight.detach().double().numpy(), norm.bias.detach().double().numpy()
    scale = weight / np.sqrt(var + 1e-5)
    return x * scale[:, None, None] + (bias - mean * scale)[:, None, None]


def max_pool_reference(x):
    """3x3, stride 2, padding 1, of an (H, W) map."""
    padded = np.pad(x, 1, constant_values=-np.inf)
    size = (x.shape[0] + 1) // 2
    return np.array([[padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(size)] for i in range(size)])


def block_reference(block, x, prior, stride):
    w = {name: value.detach().double().numpy() for name, value in block.named_parameters()}
    hidden = np.maximum(norm_reference(conv_reference(x, w["conv1.weight"], stride, 1), block.norm1), 0)
    residual = norm_reference(conv_reference(hidden, w["conv2.weight"], 1, 0), block.norm2)
    shortcut = x
    if "shortcut.0.weight" in w:
        shortcut = norm_reference(conv_reference(x, w["shortcut.0.weight"], stride, 0), block.shortcut[1])
    features = np.maximum(residual + shortcut, 0)
    pooled = np.stack([features.mean(0), features.max(0)])
    score = norm_reference(conv_reference(pooled, w["attention.conv.weight"], 1, 0), block.attention.norm)[0]
    attention = 1 / (1 + np.exp(-score))
    if prior is not None:
        attention = attention * max_pool_reference(prior)
    return features * attention, attention


@pytest.mark.parametrize(("in_channels", "out_channels", "stride", "has_prior"), [(6, 6, 1, False), (4, 8, 2, True)])
def test_ca_block_equals_equations_1_to_3(in_channels, out_channels, stride, has_prior):
    torch.manual_seed(3)
    block = CABlock(in_channels, out_channels, stride, attention=SpatialAttention(1)).eval()
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    x = torch.randn(1, in_channels, 12, 12)
    prior = torch.rand(1, 1, 12, 12) if has_prior else None
    with torch.no_grad():
        output, attention = block(x, prior)
    expected, expected_attention = block_reference(
        block, x[0].double().numpy(), None if prior is None else prior[0, 0].double().numpy(), stride
    )
    np.testing.assert_allclose(attention[0, 0].numpy(), expected_attention, atol=1e-5)
    np.testing.assert_allclose(output[0].numpy(), expected, atol=1e-4)


def test_initialisation_is_the_released_one():
    torch.manual_seed(1)
    network = METHODS["mmnet"].build(5)
    conv = network.blocks[3].conv1.weight
    assert conv.std().item() == pytest.approx(np.sqrt(2 / (512 * 9)), rel=0.02)  # kaiming normal, fan_out
    stem = network.stem[0].weight
    assert stem.abs().max().item() <= np.sqrt(1 / 27) + 1e-6  # torch's default: uniform
    assert network.position.layers[0].qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not network.position.layers[1].mlp2.bias.any()
    assert network.position.position.std().item() == pytest.approx(0.02, rel=0.05)


# Parameters for five classes, summed by hand over the layer table: stem 212,836 (literal 10,208); the four CA blocks
# 2,316,048 with 4 for each attention; a 3x3 second convolution adds 8 times its 1x1 (128^2 + 128^2 + 256^2 + 512^2);
# a 7x7 attention adds 96; PC 6,408,192; head 501,765.
PARAMETERS = {
    "mmnet": 9_438_841,
    "baseline": 9_438_841 - 6_408_192 - 16 + 8 * 360_448,
    "ca": 9_438_841 - 6_408_192,
    "pc": 9_438_841 - 16 + 8 * 360_448,
    "independent": 9_438_841,
    "cbam": 9_438_841 + 4 * 96,
    "ca-block": 9_438_841 - 6_408_192 - 16,
    "basic-continuous": 9_438_841 - 6_408_192 + 8 * 360_448,
    "figure": 9_438_841 + 128 * 128 + 256,  # the first block's shortcut becomes a convolution
    "literal": 9_014_901,
    "balanced": 9_438_841 + 2 * 2 * 512,  # weight and bias of two BatchNorms
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_the_parameters_of_its_layers_and_uses_them_all(variant):
    torch.manual_seed(0)
    network = METHODS["mmnet"].build(5, **resolve_config(variant=variant).network_options)
    assert n_parameters(network) == PARAMETERS[variant]
    onset, apex = torch.randn(2, 1, 3, 224, 224)
    logits, maps = network.forward_with_maps(onset, apex)
    assert logits.shape == (1, 5)
    assert [m.shape[-1] for m in maps] == ([] if VARIANTS[variant].get("attention") == "none" else [112, 56, 28, 14])
    logits.square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_the_released_three_class_network_has_its_own_number_of_parameters():
    assert n_parameters(MMNet(5, **resolve_config("released-3").network_options)) == 9_442_425


def test_independent_attention_takes_no_map_from_the_block_before():
    torch.manual_seed(0)
    network = MMNet(3, attention="independent").eval()
    onset, apex = torch.randn(2, 1, 3, 224, 224)
    with torch.no_grad():
        network.blocks[0].attention.norm.bias.fill_(-20.0)  # closes the first map everywhere
        _, maps = network.forward_with_maps(onset, apex)
        assert maps[0].max() < 1e-6
        assert maps[1].max() > 0.1
        network.is_continuous = True
        assert network.forward_with_maps(onset, apex)[1][1].max() < 1e-6


def test_stochastic_depth_skips_in_training_only_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = MMNet(3, n_layers=3, stochastic_depth=0.5).position.layers[2]
    x = torch.randn(400, 4, 512)
    with torch.no_grad():
        kept = layer.drop(x)
        is_skipped = (kept == 0).all(dim=(1, 2))
        assert 0.4 < is_skipped.float().mean() < 0.6
        torch.testing.assert_close(kept[~is_skipped], 2 * x[~is_skipped])
        torch.testing.assert_close(layer.eval().drop(x), x)
    assert [each.skip for each in MMNet(3, n_layers=3, stochastic_depth=0.3).position.layers] == [0.0, 0.15, 0.3]


def test_the_balanced_network_draws_the_weights_of_mmnet_and_adds_its_two_norms():
    states = []
    for balanced in (False, True):
        torch.manual_seed(4)
        states.append(MMNet(3, balanced=balanced).state_dict())
    plain, with_norms = states
    added = [name for name in with_norms if name not in plain]
    assert [name for name in added if name.endswith("weight")] == ["main_norm.weight", "position_norm.weight"]
    assert all(torch.equal(with_norms[name], weights) for name, weights in plain.items())


@pytest.mark.parametrize("has_position", [True, False])
def test_the_head_of_a_balanced_network_sees_branches_of_one_small_deviation(has_position):
    torch.manual_seed(5)
    network = MMNet(3, balanced=True, pc=has_position)
    onset, apex = torch.randn(2, 2, 3, 224, 224)
    branches, summed = [], []
    norms = [network.main_norm, network.position_norm][: 1 + has_position]
    for norm in norms:
        norm.register_forward_hook(lambda _module, _given, output: branches.append(output))
    network.head.register_forward_hook(lambda _module, given, _output: summed.append(given[0]))
    with torch.no_grad():
        network(onset, apex)
    assert [branch.std().item() for branch in branches] == pytest.approx([BALANCED_DEVIATION] * len(norms), rel=0.02)
    torch.testing.assert_close(summed[0], sum(branches).flatten(1))


def test_a_first_step_moves_the_logits_of_a_balanced_network_less():
    """AdamW's first step moves each weight of the head by the rate, whatever the gradient: all clips move alike."""
    moved = []
    for balanced in (False, True):
        torch.manual_seed(6)
        network = MMNet(3, balanced=balanced).train()
        onset, apex = torch.randn(2, 2, 3, 224, 224)
        inputs = []
        network.head.register_forward_hook(lambda _module, given, _output, seen=inputs: seen.append(given[0].detach()))
        before = network.head.weight.detach().clone()
        optimiser = torch.optim.AdamW(network.head.parameters(), lr=5e-4, weight_decay=0.6)
        torch.nn.functional.cross_entropy(network(onset, apex), torch.tensor([0, 1])).backward()
        optimiser.step()
        moved.append((inputs[0] @ (network.head.weight.detach() - before).T).abs().max().item())
    assert moved[0] > 10 > 5 > moved[1]
