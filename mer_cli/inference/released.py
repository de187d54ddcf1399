"""Write weights of the released MMNet script as a model folder (`mer import-official`); nobody knows their data."""

from __future__ import annotations

from pathlib import Path

from mer_cli.datasets.schemes import SCHEMES
from mer_cli.errors import ConfigError, unknown_name
from mer_cli.inference.model import Facts
from mer_cli.inference.model_folder import WEIGHTS, write_model
from mer_cli.inference.purpose import PURPOSE
from mer_cli.models.official import options_of, read_official
from mer_cli.runs.methods import METHODS, MMNET

# Schemes with a released script, whose numbers of the classes are those of the scheme here.
RELEASED = ("casme2-5", "mmnet3")
OUTPUTS = 5  # of the released class, also in the three-class script, which leaves the last two untrained


def import_official(path: Path, out: Path, scheme: str | None = None) -> Path:
    """Write a released `.pth` file as a model folder; return the path of its model.safetensors.

    Parameters
    ----------
    scheme : label scheme of the script that made the file, as its user says; None leaves the classes without names

    Raises
    ------
    RunError
        As `read_official` and `write_model`.
    ConfigError
        If no released script has the scheme, or the weights have another number of classes.
    """
    if scheme is not None and scheme not in RELEASED:
        raise ConfigError(
            f"--scheme: {unknown_name('released script', scheme, RELEASED)} In which order other copies of the script "
            "number their classes is not known here: leave --scheme out."
        )
    weights = read_official(path).state_dict()
    names = _class_names(path, len(weights["head.weight"]), scheme)
    facts = Facts(
        method=MMNET,
        title=METHODS[MMNET].title,
        class_names=names,
        scheme=scheme or "",
        datasets=(),
        licences=("Nobody here knows which data these weights were trained on, nor under which licence.",),
        generated=False,
        n_clips=0,
        n_subjects=0,
        clips_of_class=dict.fromkeys(names, 0),
        align="box",
        crop={},
        predictor_sha256="",
        fps=(0.0, 0.0),
        seconds=(0.0, 0.0),
        look={},
        temperature=None,
        score=None,
    )
    return write_model(out, weights, _card(facts, path.name), facts, None, options_of(weights)) / WEIGHTS


def _class_names(path: Path, n_outputs: int, scheme: str | None) -> tuple[str, ...]:
    """Return a name for each output; outputs that the three-class script never trains are named unused."""
    if scheme is None:
        return tuple(f"class {number}" for number in range(n_outputs))
    names = SCHEMES[scheme].class_names
    if n_outputs not in (len(names), OUTPUTS):
        raise ConfigError(
            f"--scheme {scheme}: {path} has {n_outputs} outputs, and the script of this scheme saves {OUTPUTS} or "
            f"{len(names)}. Leave --scheme out, or give the other one."
        )
    return (*names, *(f"unused {number}" for number in range(len(names), n_outputs)))


def _card(facts: Facts, file: str) -> str:
    named = (
        f"Whoever imported it says that it has the scheme {facts.scheme}, in the order of the released script."
        if facts.scheme
        else "Which class is which nobody said: the outputs are numbered."
    )
    unused = [name for name in facts.class_names if name.startswith("unused")]
    never = f" The three-class script has {OUTPUTS} outputs and trains three: the others are unused." if unused else ""
    return f"""# {facts.title}, weights that a released script saved

{PURPOSE}

## How good it is

**Nobody here knows.** The numbers that are published for MMNet chose the epoch on the person they tested on, and this
file doesn't say which epoch it is of. Its probabilities are not calibrated.

## What it was trained on

{facts.licences[0]} The file was `{file}`.

## Its classes

{", ".join(facts.class_names)}. {named}{never}

## How it sees faces

The released script takes the release's own cropped images, stretched to 224x224. Here a face is cropped with --align
{facts.align}, which is another crop, so the network may be worse on new clips than it was.
"""
