"""AU-GCN on flow: its number of parameters worked out by hand, and what each part of it sees."""

from itertools import pairwise

import pytest
import torch

from mer_cli.models.augcn import BROW_UNITS, MOUTH_UNITS, Attention
from mer_cli.runs.methods import METHODS

# Patches: 30 kernels of 3x3 with a bias, and 2 numbers of batch norm each: 30 * 10 + 30 * 2.
PATCHES = 360
# An encoder layer: query, key, value 49 -> 128 without bias; 128 -> 49; MLP 49 -> 128 -> 49; two layer norms of 49.
LAYER = 3 * 49 * 128 + (128 * 49 + 49) + (49 * 128 + 128) + (128 * 49 + 49) + 2 * 2 * 49  # 38,054
# Six layers, then 490 -> 320 -> 160 for the brows and 980 -> 320 -> 160 for the mouth.
BROW = 6 * LAYER + (490 * 320 + 320) + (320 * 160 + 160)  # 228,324 + 208,480
MOUTH = 6 * LAYER + (980 * 320 + 320) + (320 * 160 + 160)  # 228,324 + 365,280
# Nine embeddings of 40, graph convolutions 40 -> 80 -> 160 without bias, a layer norm of 9.
GRAPH = 9 * 40 + 40 * 80 + 80 * 160 + 2 * 9  # 16,378
# The classifier: 9 weights and a bias for each class. 360 + 436,804 + 593,604 + 16,378 = 1,047,146 come before it.


@pytest.fixture
def network():
    torch.manual_seed(0)
    return METHODS["augcn-flow"].build(5).eval()


def logits(network, patches, adjacency=None):
    with torch.no_grad():
        return network(patches, torch.eye(9) if adjacency is None else adjacency)


@pytest.mark.parametrize(("n_classes", "expected"), [(3, 1_047_176), (5, 1_047_196)])
def test_the_number_of_parameters_is_that_of_the_layers(n_classes, expected):
    network = METHODS["augcn-flow"].build(n_classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert PATCHES + BROW + MOUTH + GRAPH + 10 * n_classes == expected


def test_the_units_are_the_papers_in_its_order():
    assert METHODS["augcn-flow"].sees.units == (1, 2, 4, 10, 12, 14, 15, 17, 25)
    assert (BROW_UNITS, MOUTH_UNITS) == ((1, 2, 4), (10, 12, 14, 15, 17, 25))


def test_dropout_is_that_of_the_reimplementation(network):
    """.1 twice in each of the twelve layers, .5 between the two linear maps of brows and mouth."""
    shares = [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    assert sorted(shares) == [0.1] * 24 + [0.5] * 2


def test_parts_have_the_shapes_of_the_paper(network):
    shapes = {}
    for part in ("patches", "brow", "mouth", "first_graph", "second_graph", "score_norm"):
        hook = lambda _module, _in, out, part=part: shapes.update({part: tuple(out.shape)})  # noqa: E731
        network.get_submodule(part).register_forward_hook(hook)
    assert logits(network, torch.randn(4, 30, 7, 7)).shape == (4, 5)
    assert shapes == {
        "patches": (4, 30, 49),
        "brow": (4, 160),
        "mouth": (4, 160),
        "first_graph": (9, 80),
        "second_graph": (9, 160),
        "score_norm": (4, 9),
    }


def test_brows_move_the_scores_of_three_units_and_the_mouth_those_of_six(network):
    scores = []
    network.score_norm.register_forward_pre_hook(lambda _module, given: scores.append(given[0]))
    patches = torch.randn(1, 30, 7, 7)
    brow, mouth = patches.clone(), patches.clone()
    brow[:, 0] += 1
    mouth[:, 29] += 1
    for seen in (patches, brow, mouth):
        logits(network, seen)
    assert (scores[1] != scores[0]).flatten().tolist() == [True] * 3 + [False] * 6
    assert (scores[2] != scores[0]).flatten().tolist() == [False] * 3 + [True] * 6


def test_attention_is_that_of_the_definition():
    """Head by head, with softmax(q k / sqrt(16)) v written out."""
    torch.manual_seed(1)
    attention, tokens = Attention().eval(), torch.randn(2, 10, 49)
    query, key, value = attention.query_key_value(tokens).split(128, dim=2)
    heads = []
    for head in range(8):
        part = slice(16 * head, 16 * head + 16)
        weights = torch.softmax(query[..., part] @ key[..., part].transpose(1, 2) / 4, dim=2)
        heads.append(weights @ value[..., part])
    torch.testing.assert_close(attention(tokens), attention.project(torch.cat(heads, dim=2)))


def test_the_layers_follow_each_other(network):
    """Each sees what came out of the one before; the authors' loop does not."""
    pairs = []
    for layer in network.brow[:6]:
        layer.register_forward_hook(lambda _module, given, out: pairs.append((given[0], out)))
    logits(network, torch.randn(2, 30, 7, 7))
    assert len(pairs) == 6
    assert all(torch.equal(before, given) for (_, before), (given, _) in pairwise(pairs))


def test_the_graph_reaches_the_logits(network):
    patches = torch.randn(3, 30, 7, 7)
    other = torch.eye(9) + torch.rand(9, 9)
    assert not torch.allclose(logits(network, patches), logits(network, patches, other))


def test_a_unit_without_edges_hears_of_no_other(network):
    """Its score is moved by its own embedding alone."""
    scores = []
    network.score_norm.register_forward_pre_hook(lambda _module, given: scores.append(given[0]))
    patches, adjacency = torch.randn(1, 30, 7, 7), torch.eye(9)
    adjacency[0, 1] = adjacency[1, 0] = 0.5
    logits(network, patches, adjacency)
    with torch.no_grad():
        network.units[1] += 1
    logits(network, patches, adjacency)
    assert (scores[0] != scores[1]).flatten().tolist() == [True, True] + [False] * 7
