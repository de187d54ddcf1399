"""The other methods' networks: number of parameters and shapes that were worked out from the papers' layer tables."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mer_cli.models.tscnn import stream
from mer_cli.motion.inputs import MotionInput, PairInput
from mer_cli.runs.config import GROUPS, TrainConfig
from mer_cli.runs.methods import LIVE, METHODS, Method

# Parameters for three and for five classes. TSCNN-lite with two planes of flow in place of four: 3,200 fewer.
PARAMETERS = {
    "ststnet": (1_683, 2_485),
    "offapexnet": (2_664_475, 2_666_525),
    "sssnet": (1_349_251, 1_349_765),
    "dual-inception": (6_449_867, 6_451_917),
    "rcn-a": (15_331, 16_933),
    "dssn": (972_805 - 2 * 57_601, 972_805),
    "tscnn-lite": (924_293 - 3_200 - 2 * 385, 924_293 - 3_200),
    "resnet18-flow": (11_176_512 + 3 * 513, 11_176_512 + 5 * 513),
    "resnet18-diff": (11_176_512 + 3 * 513, 11_176_512 + 5 * 513),
    "di-resnet18": (11_176_512 + 3 * 513, 11_176_512 + 5 * 513),
    "canonical-cnn": (3 * (1_344 + 771), 3 * (1_344 + 1_285)),
    "augcn-flow": (1_047_176, 1_047_196),  # worked out in test_models_augcn
}
ON_MOTION = [name for name in PARAMETERS if name != "resnet18-diff"]

# The shape, without the batch, of what comes out of a part of the network.
SHAPES = {
    ("ststnet", "branches"): (16, 10, 10),
    ("ststnet", "pool"): (16, 5, 5),
    ("offapexnet", "horizontal"): (784,),
    ("sssnet", "features"): (5184,),
    ("dual-inception", "vertical"): (3136,),
    ("rcn-a", "stem"): (32, 28, 28),
    ("rcn-a", "recurrent"): (32, 14, 14),
    ("dssn", "strain_stream"): (256, 15, 15),
    ("tscnn-lite", "streams.1"): (128,),
}


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def zeros(name, n=2):
    wanted = METHODS[name].sees
    return torch.zeros(n, wanted.n_planes, wanted.size, wanted.size)


def inputs(name, n=2):
    if METHODS[name].sees == PairInput():
        return torch.randn(2, n, 3, 224, 224).unbind()
    graph = [torch.eye(len(METHODS[name].sees.units))] if METHODS[name].sees.units else []
    return (torch.randn_like(zeros(name, n)), *graph)


def test_every_network_but_mmnet_is_checked_here():
    assert {method.name for method in LIVE if method.is_network} - {"mmnet"} == PARAMETERS.keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_has_the_parameters_of_its_layers(name):
    with torch.device("meta"):  # no weights are drawn
        assert tuple(n_parameters(METHODS[name].build(n_classes)) for n_classes in (3, 5)) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_uses_all_its_parameters_and_gives_a_logit_for_each_class(name):
    torch.manual_seed(0)
    network = METHODS[name].build(5)
    logits = network(*inputs(name, 3))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_clip_is_classified_alone_in_evaluation(name):
    torch.manual_seed(0)
    network = METHODS[name].build(3).eval()
    pictures = inputs(name, 3)
    with torch.no_grad():
        together = network(*pictures)
        alone = network(*(given[1:2] if given.ndim == 4 else given for given in pictures))
    torch.testing.assert_close(alone[0], together[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "part"), SHAPES)
def test_a_part_gives_the_shape_of_its_papers_table(name, part):
    shapes = []
    network = METHODS[name].build(3).eval()
    network.get_submodule(part).register_forward_hook(lambda _module, _in, out: shapes.append(tuple(out.shape[1:])))
    with torch.no_grad():
        assert network(zeros(name)).isfinite().all()
    assert shapes == [SHAPES[name, part]]


@pytest.mark.parametrize(("name", "n"), [("ststnet", 400), ("offapexnet", 1568), ("dual-inception", 6272)])
def test_the_classifier_reads_as_many_features_as_the_paper_says(name, n):
    network = METHODS[name].build(3)
    first = next(module for module in network.head.modules() if isinstance(module, nn.Linear))
    assert first.in_features == n


def test_sssn_and_the_tscnn_with_four_planes_of_flow_have_their_published_size():
    network = METHODS["dssn"].build(5)
    assert n_parameters(network.strain_stream) + n_parameters(network.head) == 630_405
    whole = sum(n_parameters(stream(n_planes)) for n_planes in (1, 16, 4)) + n_parameters(
        METHODS["tscnn-lite"].build(5).head
    )
    assert whole == 924_293


@pytest.mark.parametrize("name", ["offapexnet", "dual-inception"])
def test_a_stream_for_each_component_of_the_flow(name):
    torch.manual_seed(0)
    network = METHODS[name].build(3).eval()
    seen = {}
    for part in ("horizontal", "vertical"):
        hook = lambda _module, given, _out, part=part: seen.update({part: given[0]})  # noqa: E731
        network.get_submodule(part).register_forward_hook(hook)
    (picture,) = inputs(name)
    with torch.no_grad():
        network(picture)
    assert torch.equal(seen["horizontal"], picture[:, :1])
    assert torch.equal(seen["vertical"], picture[:, 1:])


def test_dssn_shows_strain_to_one_stream_and_magnitude_to_the_other():
    network = METHODS["dssn"].build(3).eval()
    (picture,) = inputs("dssn")
    other = picture.clone()
    other[:, 3] += 1
    with torch.no_grad():
        assert torch.equal(network.strain_stream(picture[:, :3]), network.strain_stream(other[:, :3]))
        assert not torch.equal(network(picture), network(other))
        network.magnitude_stream[0].weight[:, 2] = 0
        assert torch.equal(network(picture), network(other))


def test_tscnn_shows_each_stream_its_own_planes():
    network = METHODS["tscnn-lite"].build(3).eval()
    seen = []
    for each in network.streams:
        each.register_forward_hook(lambda _module, given, _out: seen.append(given[0]))
    (picture,) = inputs("tscnn-lite")
    with torch.no_grad():
        network(picture)
    assert [part.shape[1] for part in seen] == [1, 16, 2]
    assert torch.equal(torch.cat(seen, dim=1), picture)
    assert METHODS["tscnn-lite"].sees.channels == ("apex", "apex-grid", "u", "v")


def test_the_attention_of_rcn_is_the_classifiers_weights_on_the_features():
    torch.manual_seed(0)
    network = METHODS["rcn-a"].build(3)
    pooled = torch.rand(2, 32, 5, 5)
    weights = network.head.weight.detach().numpy().reshape(3, 32, 5, 5)
    expected = np.zeros((2, 5, 5))
    for clip in range(2):
        for k in range(3):
            seen = (weights[k] * pooled[clip].numpy()).mean(0)
            expected[clip] += (seen - seen.min()) / (seen.max() - seen.min()) / 3
    with torch.no_grad():
        attention = network.attention(pooled)
    assert attention.shape == (2, 1, 5, 5)
    np.testing.assert_allclose(attention[:, 0].numpy(), expected, atol=1e-3)
    assert not network.attention(torch.zeros(1, 32, 5, 5)).any()  # and a flat map is not divided by zero


def test_rcn_applies_one_convolution_twice_to_its_input_plus_its_last_output():
    torch.manual_seed(0)
    block = METHODS["rcn-a"].build(3).recurrent.eval()
    seen = []
    block.repeated.register_forward_hook(lambda _module, given, out: seen.append((given[0], out)))
    x = torch.randn(1, 32, 28, 28)
    with torch.no_grad():
        block(x)
        start = block.start(x)
    assert torch.equal(seen[0][0], x + start)
    assert torch.equal(seen[1][0], x + seen[0][1])
    assert len(seen) == 2


def test_rcn_is_initialised_as_published():
    torch.manual_seed(0)
    network = METHODS["rcn-a"].build(3)
    assert network.head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert network.recurrent.repeated[0].weight.std().item() == pytest.approx(np.sqrt(2 / (32 * 9)), rel=0.05)


def test_the_difference_network_sees_no_face_that_does_not_move():
    torch.manual_seed(0)
    network = METHODS["resnet18-diff"].build(3).eval()
    one, other, apex = torch.randn(3, 1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(network(one, one), network(other, other))
        assert not torch.equal(network(one, apex), network(apex, one))


def test_every_network_on_motion_has_a_recipe_with_its_source():
    assert sorted(method.name for method in LIVE if method.sees_motion) == sorted(ON_MOTION)
    assert all(METHODS[name].source and METHODS[name].recipes.keys() == {"published"} for name in ON_MOTION)


SETTINGS = ("optimiser", "learning_rate", "weight_decay", "epochs", "batch_size")


def test_recipes_are_the_published_ones():
    settings = {name: tuple(METHODS[name].recipes["published"][setting] for setting in SETTINGS) for name in ON_MOTION}
    assert settings["ststnet"] == ("adam", 5e-5, 0, 500, 256)
    assert settings["offapexnet"] == ("adam", 1e-4, 0, 3000, 64)
    assert settings["sssnet"] == ("adam", 1e-4, 1e-3, 200, 32)
    assert settings["rcn-a"] == ("sgd", 5e-4, 0, 20, 64)
    assert settings["dual-inception"] == ("adam", 1e-3, 0, 500, 64)
    assert METHODS["rcn-a"].recipes["published"]["decay"] == 1  # the schedule in its code is never stepped


def test_inputs_are_those_of_the_papers():
    assert {name: (METHODS[name].sees.size, METHODS[name].sees.n_planes) for name in ON_MOTION} == {
        "ststnet": (28, 3),
        "offapexnet": (28, 2),
        "sssnet": (64, 3),
        "dual-inception": (28, 2),
        "rcn-a": (60, 3),
        "dssn": (227, 4),
        "tscnn-lite": (48, 19),
        "resnet18-flow": (112, 3),
        "di-resnet18": (224, 3),
        "canonical-cnn": (16, 2),
        "augcn-flow": (7, 30),
    }
    recipes = {name: METHODS[name].recipes["published"] for name in ON_MOTION}
    assert {name: recipe["normalisation"] for name, recipe in recipes.items() if "normalisation" in recipe} == {
        **dict.fromkeys(("ststnet", "offapexnet"), "minmax8"),
        **dict.fromkeys(("sssnet", "resnet18-flow", "rcn-a", "dssn"), "minmax"),
    }
    assert METHODS["mmnet"].sees == PairInput()
    assert [name for name in ON_MOTION if not METHODS[name].sees.needs_flow("clip")] == ["di-resnet18"]


def test_names_and_recipes_are_there_without_torch():
    code = "import sys, mer_cli.runs.methods; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_entry_with_a_part_forgotten_is_refused():
    with pytest.raises(ValueError, match="method mynet has code but no recipes: complete its entry"):
        Method("mynet", "MyNet", "A", "motion", "", None, code="mynet:MyNet", source="ours")


def test_a_network_that_sees_something_else_than_its_entry_says_is_refused():
    wrong = replace(METHODS["ststnet"], sees=MotionInput(64))
    with pytest.raises(TypeError, match=r"ststnet:STSTNet.INPUT is not what the entry of ststnet"):
        wrong.build(3)


@pytest.mark.parametrize("method", LIVE, ids=lambda method: method.name)
def test_every_entry_fits_its_code_and_its_groups_are_known(method):
    assert callable(method.load())
    assert method.groups <= GROUPS.keys()
    assert all(recipe.keys() <= TrainConfig.model_fields.keys() for recipe in method.recipes.values())


def test_no_relu_follows_the_convolution_that_is_a_path_of_its_own_in_dual_inception():
    first, *others = METHODS["dual-inception"].build(3).horizontal[0].paths
    assert isinstance(first, torch.nn.Conv2d)
    assert all(isinstance(path[-1], torch.nn.Sequential | torch.nn.ReLU) for path in others)
