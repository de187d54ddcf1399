"""A network on motion through the whole training stage, on the CPU: what reaches its weights, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from complete_store import UNITS, complete_store
from moved_store import moved, texture, write_moved_store
from tiny_run import Silent, assert_same_fold, config_of, stored, train
from tiny_store import EMOTIONS, SAMM_EMOTIONS, edited, write_store
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.errors import ConfigError, MerError
from mer_cli.faces.crop import NO_FACE_NOTE
from mer_cli.motion.images import normalise, read_images, unit_adjacency
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.runs.methods import LIVE, METHODS
from mer_cli.store.hdf5 import read_store
from mer_cli.training.inputs import MotionBatches, read_motion
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

MODEL = {"model": "sssnet", "flow": "fast", "normalisation": "standard"}  # the size of the motion and dropout are in it
AUGCN = {"model": "augcn-flow", "flow": "fast"}
FOLDS = ("casme2-01", "casme2-02", "casme2-03")
OTHERS = [method.name for method in LIVE if method.is_network and method.name != "mmnet"]
ON_MOTION = [method.name for method in LIVE if method.sees_motion]


def write(folder, replaced=""):
    """A store; the clips of the subject `replaced` show another face that moves otherwise."""
    folder.mkdir(exist_ok=True)
    path = write_moved_store(folder / "casme2.h5").path
    with edited(path) as file:
        for row, clip_id in enumerate(EMOTIONS):
            if clip_id.split("/")[1] == replaced:
                other = texture([9, row])
                file["onset_window"][row, 3] = moved(other, 0, 0)[..., None]
                file["apex_window"][row, 3] = moved(other, 5, 4)[..., None]
                file.attrs["content_hash"] = "9" * 64
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A store with landmarks, action units and whole clips."""
    return complete_store(write(tmp_path_factory.mktemp("complete")))


@pytest.fixture(scope="module")
def straight(store, tmp_path_factory):
    """A run trained in one go."""
    return train(store, tmp_path_factory.mktemp("straight"), **MODEL)[0]


def same_weights(one, other, fold):
    (_, weights), (_, other_weights) = stored(one, fold), stored(other, fold)
    return all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.mark.parametrize("model", OTHERS)
def test_every_network_trains_a_fold_under_its_own_name(complete, tmp_path, model):
    flow = {"flow": "fast"} if METHODS[model].sees.needs_flow("clip") else {}
    path, _ = train(complete, tmp_path, ["03"], model=model, epochs=1, **flow)
    recipe = "published" if model in ON_MOTION else "released"
    assert path.name.startswith(f"casme2-mmnet3-{model}-{recipe}-s1-")
    logits, _ = stored(path, "casme2-03")
    assert logits.shape == (1, 1, 3)
    assert np.isfinite(logits).all()


def test_a_run_holds_the_folds_that_mmnet_has(store, straight):
    run, mmnet = read_run(straight), plan_run([store], config_of())
    assert tuple(fold.fold for fold in run.folds) == FOLDS == tuple(fold.id for fold in mmnet.folds)
    assert [fold.clip_ids for fold in run.folds] == [fold.test for fold in mmnet.folds]
    assert (run.labels, run.config.protocol_id) == (mmnet.labels, mmnet.config.protocol_id)


def test_folds_trained_apart_and_in_another_order_equal_the_straight_run(store, straight, tmp_path):
    """Dropout as well is drawn from the fold's own stream."""
    train(store, tmp_path, ["03"], **MODEL)
    path, listener = train(store, tmp_path, **MODEL)
    assert listener.folds == ["casme2-01", "casme2-02"]
    for fold in FOLDS:
        assert_same_fold(path, straight, fold)


def test_held_out_pictures_move_no_weight_and_their_own_logits_only(straight, tmp_path):
    path, _ = train(write(tmp_path / "data", replaced="01"), tmp_path, ["01"], **MODEL)
    assert same_weights(path, straight, "casme2-01")
    assert not np.array_equal(stored(path, "casme2-01")[0], stored(straight, "casme2-01")[0])


def test_training_pictures_do_move_weights(straight, tmp_path):
    """The twin of the test above: the comparison is able to see a picture."""
    path, _ = train(write(tmp_path / "data", replaced="01"), tmp_path, ["02"], **MODEL)
    assert not same_weights(path, straight, "casme2-02")


def test_inner_pictures_move_no_weight(store, tmp_path):
    """Of a fold whose one clip of the third subject is set aside; a store where the flag may do that has more."""
    inner_logits, paths = [], []
    for name, used in (("one", store), ("other", write(tmp_path / "data", replaced="03"))):
        plan = plan_run([used], config_of(**MODEL), wanted=["01"])
        (whole,) = plan.wanted
        fold = replace(whole, train=whole.train[:2], inner=whole.train[2:])
        paths.append(train_run(replace(plan, wanted=(fold,)), tmp_path / name, Silent()))
        with np.load(paths[-1] / "folds/casme2-01/logits.npz") as arrays:
            assert arrays["inner_clip_ids"].tolist() == ["casme2/03/EP01_01"]
            inner_logits.append(arrays["inner_logits"])
    assert same_weights(*paths, "casme2-01")
    assert not np.array_equal(*inner_logits)


def test_the_stored_weights_give_the_stored_logits_with_the_training_clips_normalisation(store, straight):
    logits, weights = stored(straight, "casme2-02")
    network = METHODS["sssnet"].build(3).eval()
    network.load_state_dict(weights)
    clip_ids = sorted(EMOTIONS)
    images = read_images(read_store(store), "fast", clip_ids, METHODS["sssnet"].sees)
    held_out = np.array(["/02/" in clip_id for clip_id in clip_ids])
    normalised = normalise(images, "standard", np.flatnonzero(~held_out))
    with torch.no_grad():
        ours = network(torch.from_numpy(normalised[held_out])).numpy()
    np.testing.assert_allclose(ours, logits[-1], atol=0.05 * np.abs(logits[-1]).max())


def with_cells(store, folder, column, cells):
    """A copy of a store, its flow beside it, with other cells; its hash stays, so that runs keep their names."""
    path = shutil.copytree(store.parent, folder) / store.name
    with edited(path) as file:
        for clip_id, cell in cells.items():
            file[f"clips/{column}"][list(EMOTIONS).index(clip_id)] = cell
    return path


@pytest.fixture(scope="module")
def straight_augcn(complete, tmp_path_factory):
    return train(complete, tmp_path_factory.mktemp("augcn"), ["01"], **AUGCN)[0]


def test_a_held_out_label_moves_no_logit(complete, straight_augcn, tmp_path):
    other = {"casme2/01/EP01_01": "surprise", "casme2/01/EP02_01": "happiness"}
    path, _ = train(with_cells(complete, tmp_path / "data", "emotion", other), tmp_path, ["01"], **AUGCN)
    assert_same_fold(path, straight_augcn, "casme2-01")
    labels, changed = read_run(straight_augcn).labels, read_run(path).labels
    assert {clip_id for clip_id in labels if labels[clip_id] != changed[clip_id]} == other.keys()


def test_held_out_action_units_are_not_read(complete, straight_augcn, tmp_path):
    for cell in ("1+15", "frown"):
        store = with_cells(complete, tmp_path / f"of {cell}", "action_units", {"casme2/01/EP02_01": cell})
        path, _ = train(store, tmp_path / f"run {cell}", ["01"], **AUGCN)
        assert_same_fold(path, straight_augcn, "casme2-01")


def test_training_action_units_do_move_weights(complete, straight_augcn, tmp_path):
    """The twin of the test above: the graph is that of the training clips."""
    store = with_cells(complete, tmp_path / "data", "action_units", {"casme2/02/EP01_01": "1+15"})
    path, _ = train(store, tmp_path, ["01"], **AUGCN)
    assert not same_weights(path, straight_augcn, "casme2-01")


def test_inner_action_units_have_no_part_in_the_graph(complete):
    plan = plan_run([complete], config_of(**AUGCN))
    sees = METHODS["augcn-flow"].sees
    batches = MotionBatches(read_motion(plan, sees), sees, plan.config, torch.device("cpu"))
    batches.start_fold(np.array([0, 3]))
    images, graph = batches.plain_batch(torch.tensor([1, 4]))
    assert images.shape == (2, 30, 7, 7)
    expected = unit_adjacency([{6, 12}, {12, 14}], METHODS["augcn-flow"].sees.units)
    np.testing.assert_array_equal(graph, expected)


def test_a_store_that_is_only_tested_on_needs_no_action_units(complete, tmp_path):
    samm = complete_store(write_store(tmp_path / "samm.h5", SAMM_EMOTIONS), units=dict.fromkeys(SAMM_EMOTIONS, ""))
    plan = plan_run([complete], config_of(**AUGCN | {"scheme": "megc3"}), test_stores=[samm])
    assert [fold.id for fold in plan.folds] == ["samm"]
    assert ": has no action units, and augcn-flow needs them" in refusal(
        [complete, samm], **AUGCN | {"scheme": "megc3"}
    )


def refusal(stores, **changes):
    with pytest.raises(MerError) as error:
        plan_run(stores, config_of(**changes))
    return str(error.value)


def test_whole_clips_that_are_absent_are_missed_before_anything_is_trained(store):
    assert refusal([store], model="di-resnet18").endswith(f"Add them: mer preprocess casme2 RAW --clips --out {store}.")


def test_landmarks_that_are_a_guess_are_refused_before_anything_is_trained(complete, tmp_path):
    path = with_cells(complete, tmp_path / "data", "note", {"casme2/02/EP02_01": NO_FACE_NOTE})
    assert "clip casme2/02/EP02_01 was taken whole because no face was found in it" in refusal([path], **AUGCN)


def test_a_store_without_action_units_is_refused_by_a_method_that_needs_them(complete, tmp_path):
    path = with_cells(complete, tmp_path / "data", "action_units", dict.fromkeys(UNITS, ""))
    assert refusal([path], **AUGCN) == (
        f"{path}: has no action units, and augcn-flow needs them for its graph (SMIC's coding table has none). Leave "
        "this store out, or take another method: --model, or --methods of a comparison."
    )


def test_action_units_that_cannot_be_read_are_refused_before_anything_is_trained(complete, tmp_path):
    wrong = {"casme2/03/EP01_01": "frown", "casme2/02/EP01_01": "4++7"}
    path = with_cells(complete, tmp_path / "data", "action_units", wrong)
    assert refusal([path], **AUGCN) == (
        f"{path}: the action units of 2 of 5 clips can't be read, the first of casme2/02/EP01_01: '4++7', because of "
        "''; augcn-flow needs them for its graph. Expected numbers up to 98, as in '4+L10', 'A1B+A2C' or 'L12 or L14'. "
        f"Correct the coding table, and build the store again: mer preprocess casme2 RAW --out {path}."
    )


def test_the_flow_is_not_chosen_where_none_is_seen():
    with pytest.raises(ConfigError, match="--flow has no effect with --model di-resnet18: it is for methods that"):
        resolve_config(model="di-resnet18", flow="fast")


@pytest.mark.parametrize("model", ON_MOTION)
def test_the_published_recipe_is_the_default(model):
    config, recipe = resolve_config(model=model), METHODS[model].recipes["published"]
    assert config == resolve_config("published", model=model)
    assert config.recipe == "published"
    assert all(getattr(config, name) == value for name, value in recipe.items())
    assert config.decay_epochs == config.epochs
    assert (config.flip, config.rotation, config.padding, config.frame_jitter) == (0, 0, 0, "none")


def test_the_rate_of_a_network_on_motion_falls_to_the_end_however_long():
    config = resolve_config(model="rcn-a", epochs=40, decay=0.5, decay_every=10)
    rates = [config.learning_rate_in(epoch) / 5e-4 for epoch in (0, 9, 10, 19, 20, 39)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.125]


def test_the_network_on_pictures_trains_as_mmnet_does():
    ours, mmnet = resolve_config(model="resnet18-diff"), resolve_config()
    assert ours == mmnet.model_copy(update={"model": "resnet18-diff"})
    paper = resolve_config("released-3", model="resnet18-diff")
    assert (paper.epochs, paper.n_layers) == (99, mmnet.n_layers)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"model": "ststnet", "n_layers": 3},
            "--n-layers has no effect with --model ststnet: it is for MMNet. Leave it out.",
        ),
        (
            {"model": "resnet18-diff", "variant": "ca"},
            "--variant has no effect with --model resnet18-diff: it is for MMNet. Leave it out.",
        ),
        (
            {"model": "ststnet", "rotation": 1.0},
            "--rotation has no effect with --model ststnet: it is for networks that see two images. Leave it out.",
        ),
        (
            {"flow": "fast"},
            "--flow has no effect with --model mmnet: it is for methods that see optical flow. Leave it out.",
        ),
        (
            {"recipe": "paper", "model": "ststnet"},
            "--recipe: ststnet has no recipe 'paper'. Expected one of: published.",
        ),
        (
            {"recipe": "published"},
            "--recipe: mmnet has no recipe 'published'. Expected one of: released, released-3, paper, quick.",
        ),
    ],
)
def test_what_is_of_no_use_to_a_network_is_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        resolve_config(**settings)
    assert str(error.value) == message


def test_the_command_computes_the_flow_once_and_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data")
    command = "train --loso --scheme mmnet3 --model ststnet --flow fast --epochs 1 --device cpu --folds"
    first, second = (CliRunner().invoke(main.app, [*command.split(), subject]) for subject in ("01", "02"))
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr
    assert first.stdout == second.stdout
    assert "flow: 5 of 5" in first.stderr
    assert "flow:" not in second.stderr
    file = tmp_path / "data/motion/casme2.flow-fast.h5"
    file.unlink()
    again = CliRunner().invoke(main.app, [*command.split(), "02"])
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert not file.exists()  # nothing was to be trained
    assert CliRunner().invoke(main.app, [*command.split(), "03"]).exit_code == 0
    assert file.is_file()
    path = Path(first.stdout.strip())
    assert path.name.startswith("casme2-mmnet3-ststnet-published-s1-")
    assert read_run(path).missing == ()
