"""Released state dicts: built here from the layer table, and run by a reference that uses only their names."""

import re

import pytest
import torch
import torch.nn.functional as F

from mer_cli.errors import RunError
from mer_cli.models.official import from_official, read_official


def official_state_dict(n_classes=5, depth=2, mlp_ratio=4, unused=True):
    """Random weights under the released names, in the released shapes, after the published layer table."""
    shapes = {}

    def norm(name, width):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{leaf}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def conv(name, n_in, n_out, kernel):
        shapes[f"{name}.weight"] = (n_out, n_in, kernel, kernel)

    def linear(name, n_in, n_out):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (n_out, n_in), (n_out,)

    conv("conv_act.0", 3, 180, 3)
    norm("conv_act.1", 180)
    conv("main_branch.conv1", 180, 128, 3)
    norm("main_branch.bn1", 128)
    for layer, (n_in, n_out) in enumerate([(128, 128), (128, 128), (128, 256), (256, 512)], start=1):
        block = f"main_branch.layer{layer}.0"
        conv(f"{block}.conv1", n_in, n_out, 3)
        norm(f"{block}.bn1", n_out)
        conv(f"{block}.conv2", n_out, n_out, 1)
        norm(f"{block}.bn2", n_out)
        conv(f"{block}.attn.0", 2, 1, 1)
        norm(f"{block}.attn.1", 1)
        if layer > 1:
            conv(f"{block}.downsample.0", n_in, n_out, 1)
            norm(f"{block}.downsample.1", n_out)
    linear("main_branch.fc", 512 * 14 * 14, n_classes)
    shapes["vit_pos.pos_embed"] = (1, 196, 512)
    conv("vit_pos.patch_embed.proj", 3, 512, 1)
    shapes["vit_pos.patch_embed.proj.bias"] = (512,)
    for layer in range(depth):
        block = f"vit_pos.blocks.{layer}"
        for name in ("norm1", "norm2"):
            shapes[f"{block}.{name}.weight"] = shapes[f"{block}.{name}.bias"] = (512,)
        linear(f"{block}.attn.qkv", 512, 1536)
        linear(f"{block}.attn.proj", 512, 512)
        linear(f"{block}.mlp.fc1", 512, 512 * mlp_ratio)
        linear(f"{block}.mlp.fc2", 512 * mlp_ratio, 512)
    shapes["vit_pos.norm.weight"] = shapes["vit_pos.norm.bias"] = (512,)
    if unused:
        shapes |= {"timeembed": (1, 4, 111, 111), "head.0.weight": (38, 112 * 112), "pos.0.weight": (512, 3, 1, 1)}
        shapes |= {"pos.1.weight": (512,), "vit_pos.cls_token": (1, 1, 512), "vit_pos.head.weight": (5, 512)}
        shapes |= {"vit_pos.head.bias": (5,), "vit_pos.to_Mask.weight": (1, 512), "vit_pos.to_Mask.bias": (1,)}
    generator = torch.Generator().manual_seed(4)
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            weights[name] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) > 1:
            fan_in = torch.Size(shape[1:]).numel()
            weights[name] = torch.randn(shape, generator=generator) / fan_in**0.5
        else:
            weights[name] = torch.rand(shape, generator=generator) * 0.2 + (0.9 if re.search("weight", name) else -0.1)
    return weights


def official_logits(w, onset, apex, depth=2):
    """The released forward pass, written over the released names."""

    def bn(x, name):
        return F.batch_norm(
            x, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"]
        )

    def ln(x, name):
        return F.layer_norm(x, (512,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)

    def fc(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = torch.relu(bn(F.conv2d(apex - onset, w["conv_act.0.weight"], stride=2, padding=1), "conv_act.1"))
    x = torch.relu(bn(F.conv2d(x, w["main_branch.conv1.weight"], padding=1), "main_branch.bn1"))
    prior = None
    for layer, stride in enumerate((1, 2, 2, 2), start=1):
        block = f"main_branch.layer{layer}.0"
        out = torch.relu(bn(F.conv2d(x, w[f"{block}.conv1.weight"], stride=stride, padding=1), f"{block}.bn1"))
        out = bn(F.conv2d(out, w[f"{block}.conv2.weight"]), f"{block}.bn2")
        if layer > 1:
            x = bn(F.conv2d(x, w[f"{block}.downsample.0.weight"], stride=stride), f"{block}.downsample.1")
        x = torch.relu(out + x)
        pooled = torch.cat([torch.mean(x, 1, keepdim=True), torch.max(x, 1, keepdim=True)[0]], 1)
        attention = torch.sigmoid(bn(F.conv2d(pooled, w[f"{block}.attn.0.weight"]), f"{block}.attn.1"))
        if prior is not None:
            attention = attention * F.max_pool2d(prior, 3, 2, 1)
        prior, x = attention, x * attention
    # The four pixels in the middle of each 16x16 cell, which is what the resize without antialiasing takes.
    small = sum(onset[:, :, i::16, j::16] for i in (7, 8) for j in (7, 8)) / 4
    tokens = F.conv2d(small, w["vit_pos.patch_embed.proj.weight"], w["vit_pos.patch_embed.proj.bias"])
    t = tokens.flatten(2).transpose(1, 2) + w["vit_pos.pos_embed"]
    for layer in range(depth):
        block = f"vit_pos.blocks.{layer}"
        q, k, v = (
            part.unflatten(2, (4, 128)).transpose(1, 2)
            for part in fc(ln(t, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=2)
        )
        scores = torch.softmax(q @ k.transpose(-1, -2) * 128**-0.5, dim=-1)
        t = t + fc((scores @ v).transpose(1, 2).flatten(2), f"{block}.attn.proj")
        t = t + fc(F.gelu(fc(ln(t, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
    x = x + ln(t, "vit_pos.norm").transpose(1, 2).unflatten(2, (14, 14))
    return fc(x.flatten(1), "main_branch.fc")


@pytest.mark.parametrize(
    ("prefix", "depth", "mlp_ratio", "unused"), [("", 2, 4, True), ("module.", 2, 4, False), ("module.", 3, 2, True)]
)
def test_from_official_gives_the_released_logits(prefix, depth, mlp_ratio, unused):
    weights = official_state_dict(depth=depth, mlp_ratio=mlp_ratio, unused=unused)
    onset, apex = torch.randn(2, 2, 3, 224, 224, generator=torch.Generator().manual_seed(5))
    network = from_official({prefix + name: tensor for name, tensor in weights.items()})
    with torch.no_grad():
        ours, released = network(onset, apex), official_logits(weights, onset, apex, depth)
    assert released.std() > 0.1  # the logits differ enough for the comparison to mean something
    assert (ours - released).abs().max().item() < 1e-4


def test_from_official_names_an_unknown_layer():
    weights = official_state_dict() | {"resnet.conv1.weight": torch.zeros(1)}
    with pytest.raises(RunError, match="unknown layer 'resnet.conv1.weight'. Load a file that MMNet's released"):
        from_official(weights)


def test_from_official_names_a_missing_layer():
    weights = official_state_dict()
    del weights["main_branch.fc.weight"]
    with pytest.raises(RunError, match=r"the layer that is head\.weight here is missing"):
        from_official(weights)
    del weights["main_branch.fc.bias"]
    weights["main_branch.fc.weight"] = torch.zeros(5, 7)
    with pytest.raises(RunError, match=r"size mismatch for head\.weight|Missing key"):
        from_official(weights)


@pytest.mark.parametrize("nested", [True, False])
def test_read_official_reads_a_saved_file(tmp_path, nested):
    weights = official_state_dict(unused=False)
    torch.save({"epoch": 3, "state_dict": weights} if nested else weights, tmp_path / "released.pth")
    network = read_official(tmp_path / "released.pth")
    torch.testing.assert_close(network.head.bias.detach(), weights["main_branch.fc.bias"])


class RunsCode:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_read_official_refuses_a_file_that_would_run_code(tmp_path, capsys):
    torch.save({"state_dict": RunsCode()}, tmp_path / "evil.pth")
    with pytest.raises(RunError, match=r"evil\.pth: can't be read as plain weights: .* save its model\.state_dict"):
        read_official(tmp_path / "evil.pth")
    assert capsys.readouterr().out == ""


def test_read_official_says_what_is_wrong_with_the_file(tmp_path):
    with pytest.raises(RunError, match=r"none\.pth: there is no such file\. Give the \.pth file"):
        read_official(tmp_path / "none.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(RunError, match=r"tensor\.pth: holds a Tensor, not a state dict"):
        read_official(tmp_path / "tensor.pth")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda held: held[:1, :1].expand(10**6, 10**6), "has more numbers than the file holds of it"),
        (lambda held: held.to("meta"), "has more numbers than the file holds of it"),
        (lambda held: held * float("nan"), "has a number that is NaN or infinite"),
        (lambda held: held.to(torch.int64), "is a tensor of torch.int64, torch.strided"),
        (lambda held: held.flatten(), "the shapes of head or MLPs are not those of the released class"),
    ],
)
def test_read_official_refuses_a_tensor_that_no_network_can_have(tmp_path, change, problem):
    weights = official_state_dict(n_classes=3, depth=1, mlp_ratio=1, unused=False)
    name = "vit_pos.blocks.0.mlp.fc1.weight"
    torch.save({**weights, name: change(weights[name])}, tmp_path / "odd.pth")
    with pytest.raises(RunError, match=rf"^.*odd\.pth: Released state dict: .*{problem}\. Load a file"):
        read_official(tmp_path / "odd.pth")


def test_read_official_refuses_an_archive_in_which_a_byte_has_changed(tmp_path):
    file = tmp_path / "flipped.pth"
    torch.save(official_state_dict(n_classes=3, depth=1, mlp_ratio=1, unused=False), file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"flipped\.pth: can't be read .* in it has changed since it was saved\)"):
        read_official(file)
