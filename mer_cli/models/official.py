"""Weights of the released MMNet class, converted to our `MMNet` with the same logits (`mer import-official`).

The names are those of muse1998/MMNet at 7b62fa9 (`CA_block.py`, `PC_module.py`). Layers that its forward pass never
uses are dropped; any other unknown or missing layer is an error, so no weight is lost in silence.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from mer_cli.errors import RunError
from mer_cli.models.mmnet import MMNet
from mer_cli.system.files import read_bounded

UNUSED = re.compile(r"^(pos\.|head1?\.|timeembed$|vit_pos\.(cls_token$|head\.|to_Mask))")

# The released beginning of a name and ours; then what is replaced in the rest of the name.
LAYERS = {
    "conv_act.": "stem.",
    "main_branch.conv1.": "stem.3.",
    "main_branch.bn1.": "stem.4.",
    **{f"main_branch.layer{number}.0.": f"blocks.{number - 1}." for number in (1, 2, 3, 4)},
    "main_branch.fc.": "head.",
    "vit_pos.pos_embed": "position.position",
    "vit_pos.patch_embed.proj.": "position.patch.",
    "vit_pos.blocks.": "position.layers.",
    "vit_pos.norm.": "position.norm.",
}
PARTS = {
    ".bn": ".norm",
    ".downsample.": ".shortcut.",
    ".attn.0.": ".attention.conv.",
    ".attn.1.": ".attention.norm.",
    ".attn.qkv.": ".qkv.",
    ".attn.proj.": ".project.",
    ".mlp.fc": ".mlp",
}


LARGEST = 1 << 30  # bytes of a .pth file; a released one has some 40 MB
MOST_CLASSES, MOST_LAYERS, MOST_RATIO = 1000, 12, 8


def read_official(path: Path) -> MMNet:
    """Return an `MMNet` with the weights of a released `.pth` file: a state dict, or a dict with the key `state_dict`.

    Raises
    ------
    RunError
        If the file can't be read as plain weights (`weights_only=True`: a file that would run code is refused), or the
        weights are not of the released class.
    """
    try:
        content = read_bounded(path, LARGEST)
        _check_archive(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what is refused below
            loaded = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path}: there is no such file. Give the .pth file that the released script saved.") from None
    except pickle.UnpicklingError:  # torch's words advise to load it as a pickle, which may run code
        raise RunError(
            f"{path}: can't be read as plain weights: it is damaged, or holds more than names, numbers and tensors. "
            "If the file holds a whole pickled model, save its model.state_dict() instead."
        ) from None
    except Exception as error:  # torch raises a different kind for every way in which a file can be wrong
        first_line = str(error).strip().partition("\n")[0]
        raise RunError(
            f"{path}: can't be read as plain weights ({type(error).__name__}: {first_line}). "
            "If the file holds a whole pickled model, save its model.state_dict() instead."
        ) from None
    nested = loaded.get("state_dict") if isinstance(loaded, dict) else None
    state_dict = nested if isinstance(nested, dict) else loaded
    is_named = isinstance(state_dict, dict) and all(isinstance(name, str) for name in state_dict)
    if not is_named or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise RunError(
            f"{path}: holds a {type(loaded).__name__}, not a state dict of names and tensors. "
            "Save model.state_dict() of the released class."
        )
    try:
        return from_official(state_dict)
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def options_of(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the options with which `MMNet` makes a network of these weights' shapes, under our names."""
    mlp_width, width = weights["position.layers.0.mlp1.weight"].shape
    n_layers = len({name.split(".")[2] for name in weights if name.startswith("position.layers.")})
    return {"n_layers": n_layers, "mlp_ratio": mlp_width // width}


def _check_archive(content: bytes) -> None:
    """Raise an error if a file that torch saved as an archive unpacks to too much, or is not as it was saved."""
    if zipfile.is_zipfile(BytesIO(content)):  # files of torch before 1.6 are not
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} in it has changed since it was saved")


def from_official(state_dict: Mapping[str, Tensor]) -> MMNet:
    """Return an `MMNet` with the weights of a released state dict, in evaluation mode.

    Parameters
    ----------
    state_dict : names and tensors as the released class saves them, with or without a leading `module.` and the unused
        layers

    Returns
    -------
    MMNet with as many classes, transformer layers and MLP widths as the tensors have; four heads, as in every released
    script

    Raises
    ------
    RunError
        If a layer is unknown or missing, or a tensor has another shape than the network's.
    """
    names = {key: key.removeprefix("module.") for key in state_dict}
    weights = {_our_name(name): state_dict[key] for key, name in names.items() if not UNUSED.match(name)}
    _check_tensors(weights)
    try:
        n_classes = len(weights["head.weight"])
        options = options_of(weights)
        is_usual = options["n_layers"] <= MOST_LAYERS and 1 <= options["mlp_ratio"] <= MOST_RATIO
        if n_classes > MOST_CLASSES or not is_usual:
            raise ValueError
        model = MMNet(n_classes, n_layers=options["n_layers"], mlp_ratio=options["mlp_ratio"])
        model.load_state_dict(weights)
    except KeyError as error:
        raise _wrong_weights(f"the layer that is {error.args[0]} here is missing") from None
    except (ValueError, TypeError, IndexError):
        raise _wrong_weights("the shapes of head or MLPs are not those of the released class") from None
    except RuntimeError as error:
        raise _wrong_weights(" ".join(str(error).split()).removesuffix(".")) from None
    return model.eval()


def _check_tensors(weights: Mapping[str, Tensor]) -> None:
    """Refuse a tensor that is not made of finite real numbers, all of which the file holds."""
    for name, tensor in weights.items():
        is_counter = name.endswith("num_batches_tracked")
        if tensor.layout != torch.strided or not (tensor.is_floating_point() or is_counter):
            raise _wrong_weights(f"the layer that is {name} here is a tensor of {tensor.dtype}, {tensor.layout}")
        if tensor.is_meta or tensor.nbytes > tensor.untyped_storage().nbytes():  # a number may be said to be a billion
            raise _wrong_weights(f"the layer that is {name} here has more numbers than the file holds of it")
        if not bool(torch.isfinite(tensor).all()):
            raise _wrong_weights(f"the layer that is {name} here has a number that is NaN or infinite")


def _our_name(official: str) -> str:
    for theirs, ours in LAYERS.items():
        if official.startswith(theirs):
            name = ours + official.removeprefix(theirs)
            for their_part, our_part in PARTS.items():
                name = name.replace(their_part, our_part)
            return name
    raise _wrong_weights(f"unknown layer '{official}'")


def _wrong_weights(what: str) -> RunError:
    return RunError(
        f"Released state dict: {what}. Load a file that MMNet's released five-class or three-class script saved."
    )
