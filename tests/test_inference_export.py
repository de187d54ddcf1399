"""Networks as ONNX files: the numbers of torch, all that a stranger must know, and refused if they were changed."""

import json
import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from moved_store import write_moved_store
from onnx_files import CLASSES, TEMPERATURE, edit, export, facts_of, fixed_of, logits_by_torch, network_of, run_config
from torch import nn

import mer_cli
from mer_cli.errors import ConfigError, RunError
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.inference.export import export_network
from mer_cli.inference.model import NewClip
from mer_cli.inference.new_inputs import inputs_of
from mer_cli.inference.onnx_model import open_onnx
from mer_cli.inference.purpose import PURPOSE
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.methods import LIVE, METHODS
from mer_cli.store.hdf5 import read_windows

NETWORKS = [
    pytest.param(method.name, marks=[] if method.name in ("mmnet", "ststnet") else pytest.mark.slow)
    for method in LIVE
    if method.is_network
]
AGAIN = "Export the model again: mer export MODEL --onnx."


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that exports a network, once, and gives what was exported; beside the files lie a clip's crops."""
    folder = tmp_path_factory.mktemp("onnx")
    store = write_moved_store(folder / "casme2.h5")
    onset, _, apex, _ = read_windows(store.path, list(store.clips.index[:1]))
    clip = NewClip(onset[0, HALF_WINDOW], apex[0, HALF_WINDOW], np.zeros((68, 2), np.float32))
    for name in ("onset", "apex"):
        cv2.imwrite(str(folder / f"{name}.png"), getattr(clip, name)[:, :, ::-1])
    clips = {"mmnet": [clip], "ststnet": [clip]}
    return cache(lambda model: export(folder / f"{model}.onnx", model, clips=clips.get(model, ())))


@pytest.fixture(scope="module")
def ststnet(exported):
    return exported("ststnet").path


def drawn(model, n_clips):
    rng, sees = np.random.default_rng(n_clips), METHODS[model].sees
    if isinstance(sees, MotionInput):
        return {"planes": rng.normal(size=(n_clips, sees.n_planes, sees.size, sees.size)).astype(np.float32)}
    return {name: rng.integers(0, 256, (n_clips, 224, 224, 3), dtype=np.uint8) for name in ("onset", "apex")}


@pytest.mark.parametrize("model", NETWORKS)
def test_a_network_gives_the_logits_of_torch_for_any_number_of_clips(exported, model):
    file = exported(model)
    assert file.difference < 1e-5
    opened = open_onnx(file.path)
    for n_clips in (1, 3):
        inputs = drawn(model, n_clips)
        found = opened.run(inputs)
        expected = logits_by_torch(model, inputs)
        np.testing.assert_allclose(found["logits"], expected, atol=1e-5 * max(1, np.abs(expected).max()))
        powers = np.exp((expected - expected.max(1, keepdims=True)) / TEMPERATURE)
        np.testing.assert_allclose(found["probabilities"], powers / powers.sum(1, keepdims=True), atol=1e-4)


@pytest.mark.slow
def test_the_balanced_form_of_mmnet_gives_the_logits_of_torch(tmp_path):
    torch.manual_seed(7)
    network = METHODS["mmnet"].build(len(CLASSES), balanced=True).eval()
    for norm in (network.main_norm, network.position_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    file = export(tmp_path / "model.onnx", "mmnet", network=network)
    inputs = drawn("mmnet", 3)
    expected = logits_by_torch("mmnet", inputs, network)
    found = open_onnx(file.path).run(inputs)["logits"]
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_a_file_says_what_its_network_needs_and_rests_on(ststnet):
    record = open_onnx(ststnet).record
    assert record.facts == facts_of(run_config("ststnet"))
    assert record.motion == METHODS["ststnet"].sees
    assert (record.model, record.fold, record.flow, record.normalisation) == ("a-run", "casme2-01", "fast", "minmax8")
    assert record.inputs == {"planes": "float32 (n, 3, 28, 28), not normalised: u, v, strain"}
    assert record.outputs == {
        "logits": "float32 (n, 3), in the order of facts.class_names",
        "probabilities": "float32 (n, 3): softmax of the logits divided by the temperature 1.5",
    }
    assert (record.purpose, record.mer) == (PURPOSE, mer_cli.__version__)
    assert record.generated == "generated: not a result on any dataset"
    model = onnx.load(ststnet)
    assert json.loads(next(entry.value for entry in model.metadata_props if entry.key == "mer"))["format"] == 1
    assert model.doc_string == f"{PURPOSE} generated: not a result on any dataset"


def test_a_file_names_no_folder_of_the_machine(ststnet):
    content = ststnet.read_bytes()
    assert str(Path(mer_cli.__file__).parents[1]).encode() not in content
    assert b"site-packages" not in content


def test_the_same_network_gives_the_same_file(ststnet, tmp_path):
    drawn_again = export(tmp_path / "again.onnx")
    assert drawn_again.checked_on == "drawn inputs, because no store was found"
    assert (tmp_path / "again.onnx").read_bytes() == ststnet.read_bytes()


def test_a_file_that_differs_from_torch_is_not_written(tmp_path, monkeypatch):
    from mer_cli.inference import export as module

    def convert(*given):
        model = converted(*given)
        bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("head.bias"))
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(9), bias.name))
        return model

    converted = module._convert
    monkeypatch.setattr(module, "_convert", convert)
    expected = (
        re.escape(f"{tmp_path / 'model.onnx'}: not written, because onnxruntime and torch differ by ")
        + r"\d\.\de-\d\d\. Expected at most 1e-04\. "
        + re.escape("Update both: pip install -U torch 'mer-cli[export]'.")
    )
    with pytest.raises(RunError, match=f"^{expected}$"):
        export(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_whose_weights_are_not_finite_is_not_written(tmp_path):
    network = network_of(run_config("ststnet"))
    with torch.no_grad():
        network.head.bias[0] = torch.nan
    with pytest.raises(RunError) as caught:
        export(tmp_path / "model.onnx", network=network)
    assert str(caught.value) == (
        f"{tmp_path / 'model.onnx'}: not written, because the network's logits are not finite. Train it again."
    )
    assert list(tmp_path.iterdir()) == []


class Deciding(nn.Module):
    """A network whose way depends on the numbers that it sees."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 28 * 28, 3)

    def forward(self, x):
        return self.head(x.flatten(1) if x.mean() > 0 else -x.flatten(1))


def test_a_network_that_torch_cannot_export_is_refused_with_the_reason(tmp_path, capfd):
    with pytest.raises(ConfigError) as caught:
        export(tmp_path / "model.onnx", network=Deciding())
    expected = (
        r"ststnet:STSTNet: torch can't export the network \(Could not guard on data-dependent expression .*\)\. "
        r"Change its forward: it must neither decide by the numbers in its inputs nor depend on the number of clips\."
    )
    assert re.fullmatch(expected, str(caught.value))
    assert "".join(capfd.readouterr()) == ""  # torch prints whole programs
    assert list(tmp_path.iterdir()) == []


# --- Files that were not written by mer, or were changed ---


def refused(path):
    with pytest.raises(RunError) as caught:
        open_onnx(path)
    return str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert refused(tmp_path / "no.onnx") == f"{tmp_path / 'no.onnx'}: there is no such file. Check the path."


@pytest.mark.parametrize("content", [b"no model", b"\x08\x0a\x12\xff", b"\xff" * 100])
def test_a_file_that_is_not_onnx_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert refused(path) == f"{path}: not an ONNX file, or cut short. {AGAIN}"


def test_a_file_that_was_cut_short_is_refused(ststnet, tmp_path):
    content, path = ststnet.read_bytes(), tmp_path / "model.onnx"
    for length in (len(content) - 1, len(content) // 2, 100):
        path.write_bytes(content[:length])
        assert refused(path) == f"{path}: not an ONNX file, or cut short. {AGAIN}"


def test_an_empty_file_and_one_of_another_program_are_refused(ststnet, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    does_not_say = (
        "that does not say what it was trained on, its classes and its crop. Give a file that `mer export` wrote."
    )
    assert refused(path) == f"{path}: an ONNX file {does_not_say}"
    model = onnx.load(ststnet)
    del model.metadata_props[:]
    model.producer_name = "pytorch"
    path.write_bytes(model.SerializeToString())
    assert refused(path) == f"{path}: an ONNX file of pytorch {does_not_say}"


def test_a_file_of_a_newer_version_is_refused(ststnet, tmp_path):
    path = edit(ststnet, tmp_path / "model.onnx", lambda _, record: record.update(format=3, sorted=True), seal=True)
    assert refused(path) == (
        f"{path}: format version 3, and this program reads 2. Update mer: pip install -U mer-cli. "
        "Or export the model again with this version: mer export MODEL --onnx."
    )


def other_weight(model, _record):
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(np.float32([1, 2, 3]), bias.name))


def other_layer(model, _record):
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Tanh"


def other_classes(_model, record):
    record["facts"]["class_names"] = list(CLASSES[::-1])


def weight_elsewhere(model, _record):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def endless_weight(model, _record):
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.append(1 << 40)


def endless_result(model, _record):
    shape = onnx.numpy_helper.from_array(np.array([1 << 40]), "shape")
    node = onnx.helper.make_node("ConstantOfShape", ["shape"], ["zeros"])
    model.graph.initializer.append(shape)
    model.graph.node.append(node)


def own_operator(model, _record):
    model.functions.add().name = "Own"


def unknown_class(_model, record):
    record["facts"]["mood"] = "bad"


@pytest.mark.parametrize(
    ("change", "seal", "problem"),
    [
        (other_weight, False, "the network has changed since it was written"),
        (other_layer, False, "the network has changed since it was written"),
        (other_classes, False, "its record has changed since it was written"),
        (weight_elsewhere, True, "the tensor 'network.branches.0.weight' lies in another file"),
        (
            endless_weight,
            True,
            "the tensor 'network.branches.0.weight' is said to have 1,099,511,627,776 numbers, and the file holds "
            "1,728 bytes of it",
        ),
        (endless_result, True, "the tensor 'zeros' would have 1,099,511,627,776 numbers"),
        (own_operator, True, "it has operators of its own or sparse tensors, which mer never writes"),
        (unknown_class, True, "facts.mood is 'bad': Extra inputs are not permitted"),
    ],
)
def test_a_changed_file_is_refused(ststnet, tmp_path, change, seal, problem):
    path = edit(ststnet, tmp_path / "model.onnx", change, seal=seal)
    assert refused(path) == f"{path}: was edited or damaged ({problem}). {AGAIN}"


def test_an_unchanged_copy_with_its_own_checksums_is_read(ststnet, tmp_path):
    path = edit(ststnet, tmp_path / "model.onnx", lambda model, record: None, seal=True)
    assert open_onnx(path).record == open_onnx(ststnet).record


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    assert refused(path) == f"{path}: not an ONNX file of mer (it has more than 1,073,741,824 bytes). {AGAIN}"


def test_wrong_inputs_are_refused_with_the_right_ones(ststnet):
    with pytest.raises(RunError) as caught:
        open_onnx(ststnet).run({"planes": np.zeros((2, 3, 28, 27), np.float32)})
    assert str(caught.value).startswith(f"{ststnet}: onnxruntime can't run it (")
    assert str(caught.value).endswith(
        "). Expected as inputs planes: float32 (n, 3, 28, 28), not normalised: u, v, strain."
    )


def test_numbers_that_are_not_finite_are_refused(ststnet):
    planes = np.full((1, 3, 28, 28), np.nan, np.float32)
    with pytest.raises(RunError) as caught:
        open_onnx(ststnet).run({"planes": planes})
    assert str(caught.value) == (
        f"{ststnet}: its logits are not finite numbers, one for each class. The network is not usable: train another, "
        "with a lower --learning-rate."
    )


def test_clips_are_answered_in_their_order_however_many_there_are(ststnet):
    assert open_onnx(ststnet).logits([]).shape == (1, 0, 3)
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    clips = [NewClip(images[row], images[row - 1], np.zeros((68, 2), np.float32)) for row in range(4)]
    model = open_onnx(ststnet)
    together = model.logits(clips * 9)[0]  # more than go through the network at once
    alone = np.concatenate([model.logits([clip])[0] for clip in clips])
    np.testing.assert_allclose(together, np.tile(alone, (9, 1)), rtol=1e-4, atol=1e-4)


def test_whole_clips_need_their_frames():
    clip = NewClip(*np.zeros((2, 224, 224, 3), np.uint8), np.zeros((68, 2), np.float32))
    with pytest.raises(ConfigError) as caught:
        inputs_of([clip], METHODS["di-resnet18"].sees, None)
    assert str(caught.value) == (
        "The network sees whole clips, and a clip has only its onset and apex. Give its frames."
    )


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_reading_a_file_needs_the_extra(ststnet, monkeypatch, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ConfigError) as caught:
        open_onnx(ststnet)
    assert str(caught.value) == (
        f"{ststnet}: {module} can't be imported (import of {module} halted; None in sys.modules). Install it: "
        "pip install 'mer-cli[export]'."
    )


def test_writing_a_file_needs_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    config = run_config("ststnet")
    with pytest.raises(ConfigError) as caught:
        export_network(nn.Identity(), config, fixed_of(config), facts_of(config), tmp_path / "model.onnx", model="run")
    assert str(caught.value) == (
        "mer export: onnxscript can't be imported (import of onnxscript halted; None in sys.modules). Install it: "
        "pip install 'mer-cli[export]'."
    )


# --- The examples of docs/export.md ---

PAGE = (Path(__file__).parents[1] / "docs/export.md").read_text(encoding="utf-8")
OF_IMAGES, OF_MOTION, _ = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def run_example(text, file, folder, monkeypatch):
    """Run an example beside `model.onnx` and the crops of a clip; give the probabilities of the clip by mer."""
    for name in ("onset.png", "apex.png"):
        (folder / name).write_bytes((file.parent / name).read_bytes())
    (folder / "model.onnx").write_bytes(file.read_bytes())
    monkeypatch.chdir(folder)
    exec(compile(text, "docs/export.md", "exec"), {})
    onset, apex = (cv2.imread(name)[:, :, ::-1] for name in ("onset.png", "apex.png"))
    logits = open_onnx(file).logits([NewClip(onset, apex, np.zeros((68, 2), np.float32))])
    assert logits.shape == (1, 1, 3)
    powers = np.exp(logits[0, 0] / TEMPERATURE)
    return powers / powers.sum()


def test_the_ten_lines_for_images_give_the_probabilities_of_mer(exported, tmp_path, monkeypatch, capsys):
    assert len(OF_IMAGES.splitlines()) == 10
    probabilities = run_example(OF_IMAGES, exported("mmnet").path, tmp_path, monkeypatch)
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(printed) == list(CLASSES)
    np.testing.assert_allclose(list(map(float, printed.values())), probabilities, atol=6e-5)


def test_the_lines_for_motion_give_the_probabilities_of_mer(ststnet, tmp_path, monkeypatch, capsys):
    probabilities = run_example(OF_MOTION, ststnet, tmp_path, monkeypatch)
    printed = capsys.readouterr().out.strip("[]\n").split()
    np.testing.assert_allclose(list(map(float, printed)), probabilities, atol=1e-6)


def test_a_file_is_checked_on_stored_clips_if_there_are_some(exported):
    assert exported("ststnet").checked_on == "1 stored clip"
