"""Action units as targets: the labels of clips, what is trained on them, and what is refused."""

import csv

import numpy as np
import pytest
import torch
from complete_store import UNITS, complete_store
from moved_store import write_moved_store
from own_methods import ESTIMATOR, NETWORK
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from test_training_classical import NONE, SUBJECTS, TEST, TRAIN, draw
from tiny_store import edited
from torch.nn.functional import binary_cross_entropy_with_logits

from mer_cli.datasets.schemes import resolve_scheme
from mer_cli.datasets.unit_masks import bits_of, mask_of, masks_of, shown_in, spell_mask
from mer_cli.datasets.units import CD6ME, predicts_units
from mer_cli.errors import ConfigError, MerError
from mer_cli.models.canonical_cnn import CanonicalCNN
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.runs.predictions import fold_rows, fold_table, import_predictions
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.plan import plan_run
from mer_cli.training.targets import unit_loss
from mer_cli.training.train import train_run
from mer_cli.training.unit_machines import UnitTrainer

NAMES = tuple(f"AU{number}" for number in CD6ME)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("units") / "casme2.h5"
    return complete_store(write_moved_store(path).path)


def config_of(model="canonical-cnn", scheme="units", **settings):
    given = {"flow": "fast", "device": "cpu"} | settings
    return resolve_config(model=model, scheme=scheme, **given)


def train(store, out, **settings):
    plan = plan_run([store], config_of(**settings))
    compute_inputs(plan)
    return read_run(train_run(plan, out))


def refusal(store, **settings):
    with pytest.raises(MerError) as error:
        plan_run([store], config_of(**settings))
    return str(error.value)


def test_the_units_are_those_of_cd6me_for_whatever_datasets():
    scheme = resolve_scheme("Units", {"mine": {"smile"}, "casme2": {"happiness"}})
    assert scheme.class_names == NAMES
    assert tuple(f"AU{number}" for number in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)) == NAMES
    assert (scheme.name, scheme.datasets) == ("units", ("casme2", "mine"))


def test_units_can_be_chosen_and_stand_in_their_order():
    scheme = resolve_scheme("units-12-4", {"casme2": {"happiness"}})
    assert (scheme.name, scheme.class_names) == ("units-4-12", ("AU4", "AU12"))
    assert [predicts_units(name) for name in ("UNITS", "units-4", "units-", "myunits", "units-a", "units.toml")] == [
        *(True, True),
        *(False,) * 4,
    ]


def test_the_usual_units_have_one_name_however_they_are_asked_for():
    numbers = "-".join(name.removeprefix("AU") for name in reversed(NAMES))
    assert resolve_scheme(f"units-{numbers}", {"casme2": {"happiness"}}).name == "units"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("units-4-4", "names AU4 twice"),
        ("units-0", "names AU0"),
        ("units-99", "names AU99"),
        ("units-" + "-".join(map(str, range(1, 34))), "names 33 units"),
        ("units-1+2", "can't be read"),
        ("units-", "can't be read"),
    ],
)
def test_units_that_can_t_be_are_refused(name, problem):
    with pytest.raises(ConfigError) as error:
        resolve_scheme(name, {"casme2": {"happiness"}})
    assert str(error.value) == (
        f"--scheme {name}: {problem}. Expected up to 32 action units between 1 and 98, each once, as in units-1-4-12; "
        "units alone means 1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17."
    )


def test_a_mask_has_a_bit_for_each_unit_and_comes_back():
    mask = mask_of({4, 17, 43}, NAMES)
    assert (mask, shown_in(mask), spell_mask(mask, NAMES)) == (2**2 + 2**11, (2, 11), "AU4+AU17")
    assert (mask_of({43}, NAMES), spell_mask(0, NAMES)) == (0, "none")
    masks = np.array([[0, 1], [mask, 2**12 - 1]])
    bits = bits_of(masks, 12)
    assert bits.shape == (2, 2, 12)
    np.testing.assert_array_equal(masks_of(bits), masks)


def test_clips_are_labelled_with_the_units_that_are_coded_doubtful_ones_too(store):
    labels = plan_run([store], config_of()).labels
    said = {clip_id: spell_mask(mask, NAMES) for clip_id, mask in labels.items()}
    assert said == dict(
        zip(UNITS, ["AU6+AU12", "AU4+AU10", "AU4+AU17", "AU12+AU14", "AU1+AU2"], strict=True)
    )  # of "6+12", "4+L10", "4B+A17", "L12 or L14", "1+2"


def test_a_clip_without_any_of_the_units_stays(store, tmp_path):
    run = train(store, tmp_path, scheme="units-12", epochs=1)
    assert sorted(run.labels.values()) == [0, 0, 0, 1, 1]
    with (run.path / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["clip_id"]: (row["label"], row["class"]) for row in csv.DictReader(file)}
    assert rows["casme2/01/EP01_01"] == ("1", "AU12")
    assert rows["casme2/03/EP01_01"] == ("0", "none")
    assert run.folds[0].logits.shape == (1, 2, 1)
    assert run.config.run_name.startswith("casme2-units-12-canonical-cnn-published-s1-")


def changed_cells(store, path, cell):
    path.write_bytes(store.read_bytes())
    with edited(path) as file:
        file["clips/action_units"][:] = [cell] * 5
    return path


def test_a_store_without_units_is_refused_before_training(store, tmp_path):
    path = changed_cells(store, tmp_path / "none.h5", "")
    assert refusal(path) == (
        f"{path}: has no action units, and --scheme units predicts them (SMIC's coding table has none). Leave this "
        "store out, or choose another --scheme."
    )
    path = changed_cells(store, tmp_path / "other.h5", "43")
    assert refusal(path, scheme="units-4-12") == (
        f"{path}: no clip shows any of AU4, AU12. Leave this store out, or name units that it has, as in --scheme "
        "units-1-4-12."
    )


def test_a_cell_that_can_t_be_read_is_refused_before_training(store, tmp_path):
    path = changed_cells(store, tmp_path / "bad.h5", "4+frown")
    assert refusal(path).startswith(
        f"{path}: the action units of 5 of 5 clips can't be read, the first of casme2/01/EP01_01: '4+frown', because "
        "of 'frown'; --scheme units predicts them. Expected numbers"
    )


def test_your_own_learner_is_refused_and_so_is_a_loss_for_classes(store, tmp_path):
    (tmp_path / "forest.py").write_text(ESTIMATOR)
    said = refusal(store, model=f"{tmp_path}/forest.py:pipeline", features="flow-svm", device=None)
    assert "answers with one class for each clip, and a clip may show several action units." in said
    loss = "\n    def loss(self, logits, labels):\n        return logits.logsumexp(1).mean()\n"
    (tmp_path / "net.py").write_text(NETWORK + loss)
    said = refusal(store, model=f"{tmp_path}/net.py:MyNet", flow=None)
    assert (
        "has a loss of its own, which is for classes, and --scheme units trains with the binary cross-entropy" in said
    )


def test_your_own_network_is_trained_with_the_loss_of_units(store, tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    model = f"{tmp_path}/net.py:MyNet"
    run = train(store, tmp_path / "runs", model=model, flow=None, epochs=2, batch_size=4)
    assert [fold.logits.shape for fold in run.folds] == [(2, 2, 12), (2, 2, 12), (2, 1, 12)]


def test_the_folds_are_listed_with_the_clips_that_show_each_unit(store):
    plan = plan_run([store], config_of(scheme="units-4-12"))
    header, first, *_ = fold_table(plan)
    assert header == ("fold", "training", "held out", "AU4", "AU12")
    assert first == ("casme2-01", "3", "2", "1", "1")
    labels = {row[2]: row[4:] for row in fold_rows(plan) if row[0] == "casme2-01"}
    assert labels["casme2/02/EP02_01"] == ("2", "AU12")
    assert labels["casme2/03/EP01_01"] == ("0", "none")


def test_predictions_of_another_program_are_refused(store, tmp_path):
    (tmp_path / "p.csv").write_text("clip_id,predicted\n")
    with pytest.raises(MerError, match="answers with one class for each clip"):
        import_predictions(tmp_path / "p.csv", [store], name="Mine", epoch_rule="last", scheme="units")


def test_the_loss_is_the_mean_over_clips_and_units():
    random = np.random.default_rng(0)
    logits, masks = random.normal(size=(6, 12)), random.integers(0, 2**12, 6)
    bits = np.array([[mask >> unit & 1 for unit in range(12)] for mask in masks.tolist()])
    expected = np.mean(np.logaddexp(0, logits) - bits * logits)
    found = unit_loss(torch.from_numpy(logits), torch.from_numpy(masks))
    np.testing.assert_allclose(float(found), expected, rtol=1e-12)
    target = torch.from_numpy(bits).double()
    torch.testing.assert_close(found, binary_cross_entropy_with_logits(torch.from_numpy(logits), target))


def test_the_members_of_the_canonical_network_are_averaged_without_a_softmax():
    torch.manual_seed(0)
    network, of_classes = CanonicalCNN(12, predicts_units=True).eval(), CanonicalCNN(12).eval()
    of_classes.load_state_dict(network.state_dict())
    motion = torch.randn(4, 2, 16, 16)
    twins = torch.cat([motion, motion.flip(-1) * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)])
    each = network.head(network.features(twins)).view(2, 4, 3, 12)
    torch.testing.assert_close(network(motion), each.mean(dim=(0, 2)))
    torch.testing.assert_close(of_classes(motion).exp().sum(1) <= 1.0, torch.ones(4, dtype=torch.bool))
    assert not torch.allclose(network(motion), of_classes(motion))
    assert config_of().network_options == {"predicts_units": True}
    assert config_of(scheme="casme2-5").network_options == {}


def test_a_network_learns_the_units_that_it_is_shown(store, tmp_path):
    plan = plan_run([store], config_of(model="ststnet", epochs=60, batch_size=5, learning_rate=0.01))
    compute_inputs(plan)
    run = read_run(train_run(plan, tmp_path))
    losses = [line.split(",")[1] for line in (run.path / "folds/casme2-03/history.csv").read_text().splitlines()[1:]]
    assert float(losses[0]) == pytest.approx(np.log(2), abs=0.15)  # of a coin for each unit, not of one of 12 classes
    assert float(losses[-1]) < 0.1


def unit_labels(seed=0):
    features, classes = draw(4, seed)
    masks = np.array([0b00001, 0b00010, 0b00111, 0b00000])[classes] + 0b01000  # unit 3 always, unit 4 never
    return features, masks


def unit_trainer(features, **settings):
    return UnitTrainer(features, SUBJECTS, 5, resolve_config(model="flow-svm", scheme="units-1-2-4-5-6", **settings))


def test_each_unit_has_a_machine_of_its_own_and_an_answer_where_nothing_differs():
    features, masks = unit_labels()
    trainer = unit_trainer(features)
    fold = trainer.train_fold("casme2-00", TRAIN, masks[TRAIN], TEST, NONE, lambda epoch, loss: None)
    (logits,), (row,) = fold.logits, fold.history
    scaler = StandardScaler().fit(features[TRAIN].astype(float))
    seen, new = (scaler.transform(features[rows].astype(float)) for rows in (TRAIN, TEST))
    for unit in range(3):
        machine = SVC(C=row["C"]).fit(seen, masks[TRAIN] >> unit & 1)
        np.testing.assert_allclose(logits[:, unit], machine.decision_function(new), rtol=1e-4, atol=1e-5)
    assert (logits[:, 3] == 1).all()
    assert (logits[:, 4] == -1).all()
    assert 0 < row["inner_uf1"] <= 1


def test_machines_of_units_as_arrays_decide_as_those_of_a_fold():
    features, masks = unit_labels()
    trainer = unit_trainer(features)
    fold = trainer.train_fold("casme2-00", TRAIN, masks[TRAIN], TEST, NONE, lambda epoch, loss: None)
    kept = trainer.fit(TRAIN, masks[TRAIN])
    np.testing.assert_allclose(kept.logits(features[TEST], 5), fold.logits[0], rtol=1e-4, atol=1e-5)


def test_clips_that_show_nothing_at_all_end_no_training():
    features, _ = unit_labels()
    trainer = unit_trainer(features)
    fold = trainer.train_fold("casme2-00", TRAIN, np.zeros(len(TRAIN), int), TEST, NONE, lambda epoch, loss: None)
    assert (fold.logits == -1).all()
