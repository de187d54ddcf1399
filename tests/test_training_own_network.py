"""A network, learner or estimator of your own: what its check finds, what training refuses, and that examples train."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from checked_method import check, method_of
from tiny_store import write_store

from mer_cli.errors import ConfigError, RunError
from mer_cli.motion.inputs import DescriptorInput
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import LIVE
from mer_cli.runs.own_template import write_template
from mer_cli.training.check_method import check_method
from mer_cli.training.hardware import memory_layout
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

NET = """
import mer_cli, random
import numpy as np, torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    INPUT = mer_cli.MotionInput(6, ("u", "v"))

    def __init__(self, n_classes):
        super().__init__()
        self.first, self.last = nn.Linear(72, 8), nn.Linear(8, n_classes)

    def hidden(self, image):
        return self.first(image.flatten(1)).relu()

    def forward(self, image):
        return self.last(self.hidden(image))
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_plain_network_passes_every_check():
    found = check(NET)
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert list(found) == [
        *("input", "settings", "output", "parameters", "gradients", "one clip", "test batch", "seed", "state", "loss"),
        *("memory", "seconds"),
    ]
    assert found["input"][1] == "u, v: an image, (B, 2, 6, 6) float32"
    assert found["settings"][1] == "recipe plain: adam, learning rate 0.0001, weight decay 0, batch of 32, 50 epochs"
    assert found["output"][1] == "(8, 3) float32: logits of 8 clips"
    assert found["parameters"][1] == "611 trained; the state dict has 2.44 kB"
    assert found["gradients"][1] == "every parameter has one (4 tensors)"
    assert re.fullmatch(
        r"a clip's logits alone are those in a batch of 64 \(largest difference \S+\)", found["test batch"][1]
    )
    assert re.fullmatch(
        r"\S+ s for a training step of 32 clips, so \S+ s for an epoch of 145; on this machine \(cpu, fp32\)",
        found["seconds"][1],
    )


@pytest.mark.parametrize("model", ["ststnet", "augcn-flow"])
def test_built_in_networks_pass(model):
    assert {found.mark for found in check_method(resolve_config(model=model), 3)} == {"ok"}


CHANGES = {  # name of the check: what is written instead, and what is said
    "a parameter without a gradient": (
        ("nn.Linear(72, 8), ", "nn.Linear(72, 8), nn.Linear(8, n_classes)\n        self.spare = "),
        (
            "gradients",
            "FAILED",
            "spare.weight, spare.bias: no gradient, so never trained. Use it in forward, or delete it.",
        ),
    ),
    "weights in a list": (
        ("self.last(self.hidden(image))", "self.last(self.more[0](self.hidden(image)))"),
        (
            "parameters",
            "FAILED",
            "self.more: weights in a plain list or dict, which are never trained. Use nn.ModuleList, nn.ModuleDict or "
            "nn.ParameterList.",
        ),
    ),
    "a mean over the batch": (
        ("self.last(self.hidden(image))", "self.last(self.hidden(image - 0.1 * image.mean(0)))"),
        (
            "test batch",
            "FAILED",
            "a clip's logits differ by N between alone and in a batch of 64: in eval mode the network looks at the "
            "other clips of the batch, which are test clips. Normalise by no mean over the batch, and let BatchNorm "
            "follow eval().",
        ),
    ),
    "dropout in eval mode": (
        ("self.last(self.hidden(image))", "self.last(F.dropout(self.hidden(image)))"),
        (
            "test batch",
            "FAILED",
            "in eval mode two passes over the same clips differ by up to N: something random stays on. Say "
            "F.dropout(x, training=self.training), or use nn.Dropout.",
        ),
    ),
    "a generator without a seed": (
        ("self.last(self.hidden(image))", "self.last(self.hidden(image)) * float(np.random.default_rng().random())"),
        (
            "seed",
            "FAILED",
            "first.weight, first.bias, last.weight, last.bias: other bits after two steps with the same seed. Draw "
            "random numbers from torch's, numpy's or Python's global generator, which mer seeds for every fold, and "
            "use no hash() of a text.",
        ),
    ),
    "a counter": (
        ("return self.last(", "self.calls = getattr(self, 'calls', 0) + 1\n        return self.last("),
        (
            "state",
            "note",
            "self.calls: changed by training, and not in the state dict. Each fold has a fresh module.",
        ),
    ),
    "a draw of Python's, and a claim that there is no state": (
        (
            "return self.last(self.hidden(image))",
            "return self.last(self.hidden(image)) * (1 + self.training * random.random())",
            "    INPUT",
            "    KEEPS_NO_STATE = True\n    INPUT",
        ),
        (
            "state",
            "FAILED",
            "draws from Python's or numpy's generator while it trains, but the class says KEEPS_NO_STATE = True: on a "
            "GPU its steps are then captured, and would repeat what was drawn once. Take that back, or draw with "
            "torch.",
        ),
    ),
    "a counter, and a claim that there is none": (
        (
            "return self.last(",
            "self.calls = getattr(self, 'calls', 0) + 1\n        return self.last(",
            "    INPUT",
            "    KEEPS_NO_STATE = True\n    INPUT",
        ),
        (
            "state",
            "FAILED",
            "self.calls: changed by training, and not in the state dict, but the class says KEEPS_NO_STATE = True. "
            "Take that back, or use register_buffer.",
        ),
    ),
    "a memory in a submodule": (
        (
            "self.first, self.last = nn.Linear(72, 8)",
            "self.seen = []\n        self.first, self.last = Deep()",
            "class Net",
            "class Deep(nn.Linear):\n    def __init__(self):\n        super().__init__(72, 8)\n"
            "        self.memory = {'last': [np.zeros(3)]}\n"
            "    def forward(self, x):\n        self.memory['last'][0][1] += 1\n        return super().forward(x)\n\n"
            "class Net",
        ),
        (
            "state",
            "note",
            "self.first.memory: changed by training, and not in the state dict. Each fold has a fresh module.",
        ),
    ),
    "a buffer that is not persistent": (
        (
            "        self.first, self.last",
            "        self.register_buffer('n', torch.zeros(()), persistent=False)\n        self.first, self.last",
            "return self.last(",
            "self.n += 1\n        return self.last(",
        ),
        ("state", "note", "self.n: changed by training, and not in the state dict. Each fold has a fresh module."),
    ),
    "a layer that is skipped now and then": (
        (
            "return self.last(self.hidden(image))",
            "self.calls = getattr(self, 'calls', 0) + 1\n        seen = image.flatten(1)\n"
            "        return self.last(seen[:, :8] if self.calls % 2 else self.hidden(image))",
        ),
        ("gradients", "ok", "every parameter has one (4 tensors)"),
    ),
    "a counter of the class": (
        ("return self.last(", "Net.calls = getattr(Net, 'calls', 0) + 1\n        return self.last("),
        (
            "state",
            "FAILED",
            "Net.calls: changed by training, and kept for the next fold, which then depends on the folds before it. "
            "Keep it in the module: self.NAME.",
        ),
    ),
    "a global of the file": (
        ("return self.last(", "cache.append(1)\n        return self.last(", "class Net", "cache = []\n\nclass Net"),
        (
            "state",
            "FAILED",
            "the global cache: changed by training, and kept for the next fold, which then depends on the folds before "
            "it. Keep it in the module: self.NAME.",
        ),
    ),
    "one clip is too few": (
        ("nn.Linear(72, 8)", "nn.Sequential(nn.Linear(72, 8), nn.BatchNorm1d(8))"),
        (
            "one clip",
            "warning",
            "a training batch of one clip fails: Expected more than 1 value per channel when training, got input size "
            "torch.Size([1, 8]). A fold would end with an error if the last batch has one clip; choose another "
            "--batch-size then.",
        ),
    ),
    "logits of a wrong shape": (
        ("nn.Linear(8, n_classes)", "nn.Linear(8, 7)"),
        (
            "output",
            "FAILED",
            "mynet.py:Net: forward returned torch.float32 of shape (8, 7). Expected (8, 3): a row of logits for each "
            "clip of the batch.",
        ),
    ),
    "logits of one clip squeezed away": (
        ("self.last(self.hidden(image))", "self.last(self.hidden(image)).squeeze(0)"),
        (
            "test batch",
            "FAILED",
            "mynet.py:Net: forward returned torch.float32 of shape (3,). Expected (1, 3): a row of logits for each "
            "clip of the batch.",
        ),
    ),
    "logits that are not finite": (
        ("self.last(self.hidden(image))", "self.last(self.hidden(image)) / 0"),
        ("loss", "FAILED", "not finite within 30 steps. Lower the learning rate, or correct the loss."),
    ),
    "a loss without a gradient": (
        (
            "    def hidden",
            "    def loss(self, logits, labels):\n        return logits.detach().mean()\n\n    def hidden",
        ),
        (
            "gradients",
            "FAILED",
            "mynet.py:Net: the loss has no gradient. Compute it from the logits with torch, without detach() or "
            "no_grad().",
        ),
    ),
    "a loss of a wrong shape": (
        ("    def hidden", "    def loss(self, logits, labels):\n        return logits.mean(1)\n\n    def hidden"),
        (
            "gradients",
            "FAILED",
            "mynet.py:Net: loss returned a tensor of shape (8,). Expected the mean over the batch: a tensor of shape "
            "().",
        ),
    ),
    "a loss that hardly falls": (
        (
            "    def hidden",
            "    def loss(self, logits, labels):\n        return logits.mean() * 0 + 1\n\n    def hidden",
        ),
        (
            "loss",
            "warning",
            "1.000 to 1.000 in 30 steps on 12 drawn clips, logits finite: it hardly falls. Look at the loss, or at the "
            "learning rate.",
        ),
    ),
    "an error in the file": (
        ("self.last(self.hidden(image))", "self.last(image)"),
        (
            "output",
            "FAILED",
            "mynet.py:Net, line 17: RuntimeError: mat1 and mat2 shapes cannot be multiplied (96x6 and 8x3). Correct "
            "the file.",
        ),
    ),
    "no parameters": (
        ("self.last(self.hidden(image))", "image.flatten(1)[:, :3]", "self.first, self.last = ", "self.sizes = 1 #"),
        ("output", "FAILED", "the network has no parameters to train. Assign its layers in __init__."),
    ),
}


@pytest.mark.parametrize("what", [what for what, (_, expected) in CHANGES.items() if expected])
def test_a_check_finds(what):
    (*pairs,), (name, mark, message) = CHANGES[what]
    text = NET
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    if what == "weights in a list":
        text = text.replace(
            "        self.first, self.last", "        self.more = [nn.Linear(8, 8)]\n        self.first, self.last"
        )
    found = check(text)
    told = re.sub(r"differ by (up to )?\d[\d.e-]*", lambda hit: f"differ by {hit[1] or ''}N", found[name][1])
    assert (found[name][0], told) == (mark, message)


def test_an_error_that_autograd_raises_later_is_a_finding():
    text = NET.replace("self.last(self.hidden(image))", "self.last(self.spoilt(self.hidden(image)))").replace(
        "    def hidden",
        "    def spoilt(self, x):\n        y = x.exp()\n        y += 1\n        return y\n\n    def hidden",
    )
    mark, told = check(text)["gradients"]
    assert mark == "FAILED"
    assert told.startswith(
        "mynet.py:Net, in the backward pass: RuntimeError: one of the variables needed for gradient "
    )
    assert told.endswith(". Correct the file.")


def test_after_a_wrong_output_nothing_else_is_checked():
    assert list(check(NET.replace("nn.Linear(8, n_classes)", "nn.Linear(8, 7)"))) == ["input", "settings", "output"]


def trained(config, tmp_path):
    store = write_store(tmp_path / "casme2.h5")
    return train_run(plan_run([store], config), tmp_path / "runs")


def logits_of(run):
    return [np.load(path)["logits"] for path in sorted(run.glob("folds/*/logits.npz"))]


TINY = {"scheme": "mmnet3"}


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        ("network", "MyNet", {"epochs": 2, "device": "cpu"}),
        ("learner", "MyLearner", {"flow": "fast", "device": "cpu"}),
        ("estimator", "my_forest", {"features": "flow", "flow": "fast"}),
    ],
)
def test_a_template_trains_as_it_is(kind, name, settings, tmp_path):
    commands = write_template(Path("mynet.py"), kind)
    assert commands[0].startswith(f"mer models --check ./mynet.py:{name}")
    run = trained(resolve_config(model=f"./mynet.py:{name}", **TINY, **settings), tmp_path)
    logits = logits_of(run)
    assert len(logits) == 3
    assert all(np.isfinite(each).all() for each in logits)


def examples():
    """Each block of Python in the page, by the file name in its first line."""
    page = (Path(__file__).parents[1] / "docs/own-methods.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return dict(blocks)


@pytest.mark.parametrize(
    ("file", "name", "settings"),
    [
        ("mynet.py", "MyNet", {"epochs": 2, "device": "cpu"}),
        ("smallmotion.py", "SmallMotion", {"epochs": 2, "device": "cpu", "flow": "fast", "options": {"width": "4"}}),
        ("prototypes.py", "Prototypes", {"flow": "fast", "device": "cpu"}),
        ("forest.py", "pipeline", {"features": "flow", "flow": "fast", "options": {"n_trees": "20"}}),
    ],
)
def test_the_examples_of_the_page_train_and_pass_their_check(file, name, settings, tmp_path):
    Path(file).write_text(examples()[file], encoding="utf-8")
    config = resolve_config(model=f"./{file}:{name}", **TINY, **settings)
    assert all(np.isfinite(each).all() for each in logits_of(trained(config, tmp_path)))
    assert not {"FAILED", "warning"} & {found.mark for found in check_method(config, 3)}


def test_every_example_of_the_page_is_tested():
    assert set(examples()) == {"mynet.py", "smallmotion.py", "prototypes.py", "forest.py"}


def test_descriptors_are_the_features_that_the_page_names():
    page = (Path(__file__).parents[1] / "docs/own-methods.md").read_text(encoding="utf-8")
    assert all(f"`{method.name}`" in page for method in LIVE if isinstance(method.sees, DescriptorInput))


def test_a_network_of_your_own_keeps_torchs_memory_layout_so_that_view_works_on_a_gpu():
    config = method_of(NET).model_copy(update={"device": "cuda"})
    assert memory_layout(config) == torch.contiguous_format
    assert memory_layout(resolve_config(device="cuda")) == torch.channels_last


@pytest.mark.parametrize(
    "what",
    [
        *("logits of a wrong shape", "logits of one clip squeezed away", "a loss without a gradient"),
        *("a loss of a wrong shape", "an error in the file", "no parameters"),
    ],
)
def test_a_network_that_can_t_be_trained_is_refused_before_anything_is_computed(what, tmp_path):
    pairs, (_, _, message) = CHANGES[what]
    text = NET
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        text = text.replace(old, new)
    with pytest.raises(ConfigError) as caught:
        trained(method_of(text, flow="fast", device="cpu", **TINY), tmp_path)
    told = message.replace("(8,", "(2,").replace("96x6", "24x6")
    told = f"mynet.py:Net: {told}" if what == "no parameters" else told
    assert str(caught.value) == told
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "motion").exists()


def test_logits_that_are_not_finite_end_the_training_with_the_fold_and_the_epoch(tmp_path):
    text = NET.replace("self.last(self.hidden(image))", "self.last(self.hidden(image)) / 0")
    with pytest.raises(RunError) as caught:
        trained(method_of(text, flow="fast", device="cpu", epochs=2, **TINY), tmp_path)
    assert str(caught.value) == (
        "mynet.py:Net: fold casme2-01: the logits are not finite after epoch 1, so the fold is not written. Lower the "
        "learning rate (--learning-rate), or correct the method."
    )
