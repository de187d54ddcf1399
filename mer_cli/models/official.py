"""Takes a state dict of the released MMNet class, gives our `MMNet` with the same weights and the same logits.

The names are those of muse1998/MMNet at 7b62fa9 (`CA_block.py`, `PC_module.py`). Layers that its forward pass never
uses are dropped; anything else that is missing or unknown is an error, so that no weight is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mer_cli.errors import RunError
from mer_cli.models.mmnet import MMNet

UNUSED = re.compile(r"^(pos\.|head1?\.|timeembed$|vit_pos\.(cls_token$|head\.|to_Mask))")

# The first pattern that matches names the layer; what follows in the key (weight, running_mean, ...) is kept.
RENAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^conv_act\.0\.", "stem.0."),
        (r"^conv_act\.1\.", "stem.1."),
        (r"^main_branch\.conv1\.", "stem.3."),
        (r"^main_branch\.bn1\.", "stem.4."),
        (r"^main_branch\.layer(\d)\.0\.conv([12])\.", "blocks.{0}.conv{1}."),
        (r"^main_branch\.layer(\d)\.0\.bn([12])\.", "blocks.{0}.norm{1}."),
        (r"^main_branch\.layer(\d)\.0\.attn\.0\.", "blocks.{0}.attention.conv."),
        (r"^main_branch\.layer(\d)\.0\.attn\.1\.", "blocks.{0}.attention.norm."),
        (r"^main_branch\.layer(\d)\.0\.downsample\.([01])\.", "blocks.{0}.shortcut.{1}."),
        (r"^main_branch\.fc\.", "head."),
        (r"^vit_pos\.pos_embed$", "position.position"),
        (r"^vit_pos\.patch_embed\.proj\.", "position.patch."),
        (r"^vit_pos\.norm\.", "position.norm."),
        (r"^vit_pos\.blocks\.(\d)\.norm([12])\.", "position.layers.{same}.norm{1}."),
        (r"^vit_pos\.blocks\.(\d)\.attn\.qkv\.", "position.layers.{same}.qkv."),
        (r"^vit_pos\.blocks\.(\d)\.attn\.proj\.", "position.layers.{same}.project."),
        (r"^vit_pos\.blocks\.(\d)\.mlp\.fc([12])\.", "position.layers.{same}.mlp{1}."),
    )
)


def from_official(state_dict: Mapping[str, Tensor]) -> MMNet:
    """The network of a released state dict, in evaluation mode.

    Parameters
    ----------
    state_dict : names and tensors as the released class saves them, with or without a leading `module.`; the layers
        that it never uses may be there or not

    Returns
    -------
    MMNet with as many classes, transformer layers and MLP widths as the tensors say; four heads, as in every
    released script

    Raises
    ------
    RunError
        If a name is unknown, a layer is missing, or a tensor has another shape than the network's.
    """
    weights: dict[str, Tensor] = {}
    for key, tensor in state_dict.items():
        official = key.removeprefix("module.")
        if not UNUSED.match(official):
            weights[_our_name(official)] = tensor
    try:
        n_classes = weights["head.weight"].shape[0]
        mlp_width, width = weights["position.layers.0.mlp1.weight"].shape
    except KeyError as error:
        raise RunError(
            f"Released state dict: the layer that is {error.args[0]} here is missing — expected the weights of "
            "MMNet's five-class or three-class script. Load the file that the script saved."
        ) from None
    n_layers = len({name.split(".")[2] for name in weights if name.startswith("position.layers.")})
    model = MMNet(n_classes, n_layers=n_layers, mlp_ratio=mlp_width // width)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(
            f"Released state dict: {' '.join(str(error).split())} — expected the layers of MMNet's released scripts. "
            "Load the file that the script saved."
        ) from None
    return model.eval()


def read_official(path: Path) -> MMNet:
    """`from_official` of a `.pth` file, which may hold the state dict itself or a dict with it under `state_dict`.

    Read with `weights_only=True`: a file that would run code is refused.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file — expected a .pth file that the released script saved. Check the path.")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different kind for every way in which a file can be wrong
        first_line = str(error).strip().partition("\n")[0]
        raise RunError(
            f"{path}: not readable as plain weights ({type(error).__name__}: {first_line}) — expected a state dict "
            "saved by torch.save. A file that holds a whole pickled model must be re-saved as model.state_dict()."
        ) from None
    nested = loaded.get("state_dict") if isinstance(loaded, dict) else None
    state_dict = nested if isinstance(nested, dict) else loaded
    if not isinstance(state_dict, dict) or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise RunError(
            f"{path}: holds a {type(loaded).__name__}, not a state dict — expected names and tensors. "
            "Save model.state_dict() of the released class."
        )
    return from_official(state_dict)


def convert_official(path: Path, out: Path) -> Path:
    """`read_official`, written to `out`/model.safetensors under our names; gives that file."""
    model = read_official(path)
    out.mkdir(parents=True, exist_ok=True)
    target = out / "model.safetensors"
    save_file(model.state_dict(), target, {"source": path.name})
    return target


def _our_name(official: str) -> str:
    """Our name of a released parameter; the released layers count from 1, our blocks from 0."""
    for pattern, ours in RENAMES:
        match = pattern.match(official)
        if match:
            groups = list(match.groups())
            same = groups[0] if groups else ""
            if groups and "{0}" in ours:
                groups[0] = str(int(groups[0]) - 1)
            return ours.format(*groups, same=same) + official[match.end() :]
    raise RunError(
        f"Released state dict: unknown layer '{official}' — expected the names of MMNet's released classes. "
        "Check that the file belongs to MMNet."
    )
