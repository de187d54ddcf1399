"""What a GPU does beside the CPU: captured steps, whole folds, folds at once, memory. All of it needs one."""

import numpy as np
import pytest
import torch
from moved_store import write_moved_store
from tiny_run import Silent, assert_same_fold, config_of, stored, train
from tiny_store import write_store

from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import METHODS
from mer_cli.training.batches import PairBatches, Windows
from mer_cli.training.hardware import WORKSPACE, count_memory, resolve_hardware
from mer_cli.training.loop import FoldTrainer
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
N_CLIPS = 80


@pytest.fixture(autouse=True)
def deterministic_only_where_asked():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "casme2.h5")


@pytest.fixture(scope="module")
def windows():
    """Smooth pictures that differ by class, so that there is something to learn."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, N_CLIPS, 7, 14, 14, 3), dtype=np.uint8)
    pictures = coarse.repeat(16, axis=3).repeat(16, axis=4)
    numbers = np.tile(np.arange(7, dtype=np.int32), (N_CLIPS, 1))
    return Windows(pictures[0], pictures[1], numbers, numbers + 60, numbers[:, -1] + 90)


def trainer_of(windows, **settings):
    config = resolve_hardware(resolve_config(**{"device": "cuda", "compile": "off"} | settings), 0)
    return FoldTrainer(PairBatches(windows, config, torch.device(config.device)), 5, config)


def first_losses(trainer, n_clips, n_epochs=3):
    """From fixed weights, with fixed draws."""
    trainer.steps.prepare(n_clips)
    trainer._initialise(1)
    trainer.steps.start_fold()
    trainer.steps.set_learning_rate(1e-4)
    rng = np.random.default_rng(2)
    labels = torch.arange(n_clips, device=trainer.batches.device) % 5
    losses = []
    for _ in range(n_epochs):
        draw = trainer.batches.draw_epoch(np.arange(n_clips), rng)
        losses.append(float(trainer.steps.train_epoch(draw, labels[draw.row])))
    return losses


def weights_of(trainer):
    return {name: tensor.detach().clone() for name, tensor in trainer.network.state_dict().items()}


def test_captured_steps_are_the_steps_one_by_one(windows):
    """Full and last batches, bit for bit, under the deterministic kernels."""
    captured, plain = (trainer_of(windows, deterministic=True) for _ in range(2))
    plain.steps.prepare = lambda n_clips: None
    losses = [first_losses(trainer, 72) for trainer in (captured, plain)]
    assert captured.steps.captured is not None
    assert plain.steps.captured is None
    np.testing.assert_allclose(*losses, rtol=1e-5)
    ours, theirs = weights_of(captured), weights_of(plain)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_a_sync_within_an_epoch_would_be_seen_and_there_is_none(windows):
    trainer = trainer_of(windows)
    first_losses(trainer, 72, n_epochs=1)
    draw = trainer.batches.draw_epoch(np.arange(72), np.random.default_rng(0))
    labels = torch.arange(72, device="cuda") % 5
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = trainer.steps.train_epoch(draw, labels)
        trainer.steps.plain_logits(torch.arange(8, device="cuda").clone())
        with pytest.raises(RuntimeError, match="synchroniz"):
            float(loss)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_the_first_losses_stay_near_those_of_float32_on_the_cpu(windows, compiled):
    """bf16 keeps 8 bits: a loss of the first epochs moves by a few hundredths."""
    exact = first_losses(trainer_of(windows, device="cpu", precision="fp32", batch_size=8), 18, n_epochs=2)
    fast = first_losses(trainer_of(windows, compile=compiled, batch_size=8), 18, n_epochs=2)
    assert np.isfinite(fast).all()
    np.testing.assert_allclose(fast, exact, rtol=0.1)


def test_bf16_gradients_point_where_those_of_float32_do(windows):
    gradients = []
    for precision in ("fp32", "bf16"):
        trainer = trainer_of(windows, precision=precision)
        trainer._initialise(1)
        draw = trainer.batches.draw_epoch(np.arange(32), np.random.default_rng(2))
        trainer.network.train()
        trainer.steps._step(draw, slice(0, 32), torch.arange(32, device="cuda") % 5)
        gradients.append(torch.cat([weight.grad.flatten() for weight in trainer.network.parameters()]))
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.97


def test_channels_filled_with_zeros_change_no_number():
    torch.backends.cudnn.allow_tf32 = False
    network = METHODS["mmnet"].build(5).eval()
    onset, apex = torch.randn(2, 2, 3, 224, 224)
    with torch.no_grad():
        expected = network(onset, apex)
        filled = network.cuda()(onset.cuda(), apex.cuda()).cpu()
    torch.testing.assert_close(filled, expected, rtol=1e-3, atol=1e-3)


def test_folds_at_once_equal_those_in_turn_under_deterministic(store, tmp_path):
    settings = {"device": "cuda", "deterministic": True, "epochs": 3, "batch_size": 2}
    in_turn, _ = train(store, tmp_path / "turn", **settings)
    again, _ = train(store, tmp_path / "again", **settings)
    at_once = train_run(
        plan_run([store], config_of(**settings)), tmp_path / "once", Silent(), folds_at_once=2, gpus=(0,)
    )
    assert '"deterministic":true' in (in_turn / "config.json").read_text().replace(" ", "")
    for fold in ("casme2-01", "casme2-02", "casme2-03"):
        assert_same_fold(again, in_turn, fold)
        assert_same_fold(at_once, in_turn, fold)


@pytest.mark.parametrize("model", ["ststnet", "augcn-flow"])
def test_a_network_on_motion_stays_near_the_cpu(model, tmp_path):
    """Its pictures are normalised anew for every fold, under steps that are captured once."""
    store = write_moved_store(tmp_path / "casme2.h5").path
    settings = {"model": model, "flow": "fast", "precision": "fp32", "epochs": 3}
    paths = [train(store, tmp_path, device=device, **settings)[0] for device in ("cpu", "cuda")]
    for fold in ("casme2-01", "casme2-03"):
        on_cpu, on_cuda = (stored(path, fold)[0] for path in paths)
        assert np.abs(on_cpu - on_cuda).max() < 0.05 * np.abs(on_cpu).max() + 0.05


@pytest.mark.parametrize(("precision", "batch_size"), [("bf16", 32), ("bf16", 64), ("fp32", 32)])
def test_the_memory_formula_covers_what_a_fold_takes(windows, precision, batch_size):
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    trainer = trainer_of(windows, precision=precision, batch_size=batch_size)
    first_losses(trainer, 72, n_epochs=1)
    taken = torch.cuda.max_memory_reserved() - before
    needed = count_memory(trainer.config, N_CLIPS, 5)
    print(f"{precision} {batch_size}: reserved {taken / 1e9:.2f}, formula {needed.total(batch_size) / 1e9:.2f} GB")
    assert taken < needed.total(batch_size)
    assert needed.total(batch_size) - WORKSPACE < 2.5 * taken
