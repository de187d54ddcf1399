"""Exports networks with drawn weights as ONNX files, and changes such files as somebody might."""

import hashlib
import json

import numpy as np
import onnx
import torch
from tiny_run import config_of

from mer_cli.inference.export import export_network
from mer_cli.inference.model import Facts
from mer_cli.inference.seen import Fixed
from mer_cli.motion.images import normalise
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.methods import METHODS
from mer_cli.runs.run_config import RunConfig, RunStore

CLASSES = ("happiness", "surprise", "negative")
TEMPERATURE = 1.5
STORE = RunStore(
    dataset="casme2", role="loso", content_hash="ab" * 32, table_sha256="cd" * 32, table_version="", generated=True
)


def run_config(model):
    sees = METHODS[model].sees
    flow = {"flow": "fast"} if isinstance(sees, MotionInput) and sees.needs_flow("apex") else {}
    settings = config_of(model=model, **flow).model_dump()
    return RunConfig(**settings, stores=(STORE,), protocol_id="mmnet3/5", class_names=CLASSES)


def facts_of(config, **changes):
    known = {
        "method": config.model,
        "title": config.method.title,
        "class_names": CLASSES,
        "scheme": "mmnet3",
        "datasets": ("casme2",),
        "licences": ("CASME II: ask its authors.",),
        "generated": True,
        "n_clips": 5,
        "n_subjects": 3,
        "clips_of_class": {"happiness": 2, "surprise": 1, "negative": 2},
        "align": "box",
        "crop": {"align": "box"},
        "predictor_sha256": "ef" * 32,
        "fps": (200.0, 200.0),
        "seconds": (0.1, 0.3),
        "look": {"brightness": (90.0, 140.0)},
        "temperature": TEMPERATURE,
        "score": None,
    }
    return Facts(**(known | changes))


def fixed_of(config):
    """What training clips would fix: odd numbers, so that a plane or a unit in another's place is noticed."""
    sees, mean, deviation, graph = config.method.sees, None, None, None
    if isinstance(sees, MotionInput) and config.normalisation == "standard":
        mean = np.linspace(-1, 2, sees.n_planes, dtype=np.float32).reshape(1, -1, 1, 1)
        deviation = np.linspace(0.5, 3, sees.n_planes, dtype=np.float32).reshape(1, -1, 1, 1)
    if isinstance(sees, MotionInput) and sees.units:
        graph = np.random.default_rng(2).random((len(sees.units),) * 2, dtype=np.float32)
    return Fixed(mean, deviation, graph)


def network_of(config):
    torch.manual_seed(3)
    return config.method.build(len(CLASSES), **config.network_options).eval()


def export(path, model="ststnet", *, clips=(), network=None):
    """Export a network with drawn weights."""
    config = run_config(model)
    network = network or network_of(config)
    return export_network(
        network,
        config,
        fixed_of(config),
        facts_of(config),
        path,
        model="a-run",
        fold="casme2-01",
        clips=clips,
    )


def logits_by_torch(model, inputs, network=None):
    """The logits of the same network, by default that of `export`, through the normalisation of training."""
    config, fixed = run_config(model), fixed_of(run_config(model))
    if "planes" not in inputs:
        mean, std = (np.float32(numbers) for numbers in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        seen = [((image.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2) for image in inputs.values()]
    elif fixed.mean is not None:
        seen = [(inputs["planes"] - fixed.mean) / fixed.deviation]
    else:
        seen = [normalise(inputs["planes"], config.normalisation, np.arange(0))]
    if fixed.graph is not None:
        seen.append(fixed.graph)
    with torch.no_grad():
        network = network or network_of(config)
        return network(*(torch.from_numpy(np.ascontiguousarray(one)) for one in seen)).numpy()


def edit(source, target, change, *, seal=False):
    """Write a changed copy of an ONNX file; `seal` makes its checksums those of the changed network and record."""
    model = onnx.load(source)
    entry = next(entry for entry in model.metadata_props if entry.key == "mer")
    record = json.loads(entry.value)
    change(model, record)
    if seal:
        graph = "".join(f"{opset.domain}:{opset.version}\n" for opset in model.opset_import).encode()
        graph += model.graph.SerializeToString(deterministic=True)
        said = {name: value for name, value in record.items() if name != "sha256"}
        said["graph_sha256"] = hashlib.sha256(graph).hexdigest()
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        record = said | {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    entry.value = json.dumps(record)
    target.write_bytes(model.SerializeToString())
    return target
