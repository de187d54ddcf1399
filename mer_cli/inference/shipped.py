"""The two small models that come with mer, of emotions and of action units: open them, or make them again.

Both are `canonical-cnn`, trained on generated faces only, so that anybody may have them; `docs/weights.md` says what
they are good for. `make weights` draws the clips, trains both and writes their folders, with the same bytes on the same
kind of machine:

    python -m mer_cli.inference.shipped WORK
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mer_cli.inference.model import Model
from mer_cli.inference.model_folder import read_model_folder
from mer_cli.inference.open_model import open_folder

FOLDER = Path(__file__).parent / "weights"
SCHEMES = {"emotions": "dfme-7", "units": "units"}  # folder -> label scheme
METHOD, DATASET = "canonical-cnn", "dfme"  # the layout with the most emotions
RELEASE, SEED, N_CLIPS = 2, 80_007, 1000  # of the generator; about ten clips a person
ABOUT = """
## Where these weights come from

They come with mer, and saw generated faces only: {n} clips of `mer synth`'s generator (release {release}, seed {seed})
in DFME's layout, none of them of a real person. **No score on real faces is known.** `docs/weights.md` says what they
reach on generated people whom they have not seen. `make weights` makes them again.
"""


def open_shipped() -> tuple[Model, Model]:
    """Return the models of emotions and of action units that come with mer.

    What their training pictures look like is not compared with a recording: they see only how a face moves, and every
    recorded face looks other than a drawn one.
    """
    opened = []
    for name in SCHEMES:
        said, weights = read_model_folder(FOLDER / name)
        facts = said.facts.model_copy(update={"look": {}})
        opened.append(open_folder(FOLDER / name, said.model_copy(update={"facts": facts}), weights))
    return opened[0], opened[1]


def make_shipped(work: Path, out: Path = FOLDER, tell: Callable[[str], object] = lambda _: None) -> None:
    """Draw the training clips, train both models, and write their folders.

    Parameters
    ----------
    work : folder for the drawn clips and their store (3.5 GB), which an interrupted call goes on with
    out : folder to write the model folders into; those that are there are replaced
    tell : called with a sentence on each step

    Raises
    ------
    MerError
        If the landmark model is absent, or a folder can't be written.
    """
    import shutil

    from mer_cli.datasets.registry import load_release
    from mer_cli.datasets.synthetic.writer import write_for_store
    from mer_cli.faces.frames import HALF_WINDOW
    from mer_cli.inference.facts import facts_of
    from mer_cli.inference.model_card import card_text
    from mer_cli.inference.model_folder import write_model
    from mer_cli.runs.config import resolve_config
    from mer_cli.store.added import build_drawn
    from mer_cli.training.fit import fit, plan_fit
    from mer_cli.training.inputs import compute_inputs

    raw, store = work / "raw", work / f"{DATASET}.h5"
    tell(f"drawing {N_CLIPS} clips into {raw}")
    write_for_store(DATASET, raw, clips=N_CLIPS, seed=SEED, release=RELEASE, near=HALF_WINDOW)
    tell(f"packing them into {store}")
    store.unlink(missing_ok=True)  # an earlier call may have packed other clips
    build_drawn(load_release(DATASET, raw), store)
    for name, scheme in SCHEMES.items():
        tell(f"training {name}")
        plan = plan_fit([store], resolve_config(model=METHOD, scheme=scheme, device="cpu", precision="fp32"))
        compute_inputs(plan)
        weights = fit(plan, lambda epoch, loss: None)
        facts = facts_of(plan.config, [held.info for held in plan.stores], plan.labels)
        about = ABOUT.format(n=facts.n_clips, release=RELEASE, seed=SEED)
        card = card_text(facts, plan, None) + about
        shutil.rmtree(out / name, ignore_errors=True)
        write_model(out / name, weights, card, facts, plan.config, plan.config.network_options)


if __name__ == "__main__":
    make_shipped(Path(sys.argv[1]), tell=print)
