"""Each fast layer against the plain layer that its docstring names: values, gradients, memory layout."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mer_cli.models.fast_layers import ConvolutionPair, attend, channel_pools
from mer_cli.models.mmnet import make_stem

# In float64, whose rounding is 2e-16: what the two forms add up in another order differs by no more.
SAME = {"rtol": 1e-9, "atol": 1e-12}
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
def test_a_convolution_pair_is_the_six_layers_with_their_gradients_and_statistics(training, layout):
    torch.manual_seed(0)
    fast = make_stem(180, 16, stride=2).double()
    for held in (fast[1].running_mean, fast[1].running_var, fast[1].weight.data, fast[1].bias.data):
        held.uniform_(0.5, 2)
    plain = nn.Sequential(*copy.deepcopy(list(fast)))
    assert isinstance(fast, ConvolutionPair)
    widths = []
    fast[2].register_forward_hook(lambda module, inputs, output: widths.append(output.shape[1]))
    image = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    expected = plain.train(training)(image)
    found = fast.train(training)(image.to(memory_format=layout))
    assert widths == [192 if layout == torch.channels_last else 180]
    torch.testing.assert_close(found, expected, **SAME)
    for features in (expected, found):
        features.square().sum().backward()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, **SAME)
    torch.testing.assert_close(fast.state_dict(), plain.state_dict(), **SAME)
    assert fast[1].num_batches_tracked == (1 if training else 0)


def plain_pools(features):
    return torch.cat([features.mean(1, keepdim=True), features.max(1, keepdim=True).values], dim=1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("has_ties", [True, False])
def test_channel_pools_are_the_mean_and_the_maximum_with_their_gradients(has_ties, layout):
    torch.manual_seed(0)
    drawn = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    features = [(drawn.round() if has_ties else drawn).to(memory_format=layout).requires_grad_() for _ in range(2)]
    weights = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    pools = [pool(each) for pool, each in zip((channel_pools, plain_pools), features, strict=True)]
    torch.testing.assert_close(*pools, rtol=0, atol=0)
    for pooled in pools:
        (pooled * weights).sum().backward()
    torch.testing.assert_close(features[0].grad, features[1].grad, **SAME)
    assert features[0].grad.is_contiguous(memory_format=layout)


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equal_channels():
    equal = torch.ones(2, 6, 4, 4).requires_grad_()
    channel_pools(equal)[:, 1].sum().backward()
    assert torch.equal(equal.grad[:, 0], torch.ones(2, 4, 4))
    assert not equal.grad[:, 1:].any()


def test_attention_of_the_tokens_is_torchs_with_its_gradients():
    torch.manual_seed(0)
    drawn = torch.randn(3, 2, 4, 9, 16, dtype=torch.float64)
    ours, theirs = (drawn.clone().requires_grad_() for _ in range(2))
    found, expected = attend(*ours), F.scaled_dot_product_attention(*theirs)
    torch.testing.assert_close(found, expected, **SAME)
    for mixed in (found, expected):
        mixed.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **SAME)
