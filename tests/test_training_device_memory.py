"""What a fold needs of a GPU, and what is said where that is not there."""

import pytest

from mer_cli.errors import ConfigError
from mer_cli.runs.config import resolve_config
from mer_cli.training.hardware import count_memory, require_memory

GB = 10**9


def config_of(**settings):
    return resolve_config(**settings).model_copy(update={"device": "cuda", "precision": "bf16"})


def test_the_formula_grows_with_clips_and_batch_and_counts_the_networks_own_tensors():
    config = config_of()
    needed = count_memory(config, 249, 5)
    assert needed.clips == 249 * 2 * 7 * 224 * 224 * 3
    assert needed.weights == 16 * 9_438_841
    # By hand, float32, of the stem's two convolutions alone: the difference picture, and what goes into and comes out
    # of BatchNorm and ReLU at 112x112. All of it must be counted, and the whole network keeps a few times as much.
    stem = 4 * (3 * 224 * 224 + 2 * 180 * 112 * 112 + 2 * 128 * 112 * 112)
    assert 1.5 * stem / 2 < needed.per_pair < 6 * stem
    full = count_memory(config.model_copy(update={"precision": "fp32"}), 249, 5)
    assert full.per_pair == pytest.approx(2 * needed.per_pair, rel=0.01)
    assert needed.total(64) - needed.total(32) == 32 * needed.per_pair


def test_what_does_not_fit_is_refused_with_what_would():
    config = config_of()
    needed = count_memory(config, 249, 5)
    require_memory(config, needed, needed.total(32), 1)
    with pytest.raises(ConfigError) as error:
        require_memory(config, needed, needed.total(24), 1)
    assert "a fold of 32 clips a step would need" in str(error.value)
    assert "Give --batch-size 24 (another run, since BatchNorm sees the batch), or --device cpu." in str(error.value)
    with pytest.raises(ConfigError, match=r"2 folds in parallel .* Give --folds-at-once 1\.$"):
        require_memory(config, needed, needed.total(32) + 1, 2)
    with pytest.raises(ConfigError, match=r"Free the GPU, or use --device cpu\.$"):
        require_memory(config, needed, GB, 1)
