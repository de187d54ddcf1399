import math

import pytest

from mer_cli.errors import ConfigError
from mer_cli.runs.config import TrainConfig, resolve_config
from mer_cli.runs.variants import RECIPES, VARIANTS


def test_released_recipe_is_the_scripts():
    config = resolve_config()
    assert (config.epochs, config.batch_size, config.learning_rate, config.weight_decay) == (74, 32, 8e-4, 0.6)
    assert (config.flip, config.rotation, config.padding, config.color_jitter) == (0.5, 3, 15, 0)
    rates = [config.learning_rate_in(epoch) for epoch in range(74)]
    assert rates[1] == pytest.approx(8e-4 * 0.987)
    assert rates[49] > rates[50] == rates[73]
    assert rates[73] == pytest.approx(4.16e-4, abs=5e-7)  # 8e-4 * .987^50


def test_paper_recipe_is_the_papers_text():
    config = resolve_config("paper")
    assert (config.epochs, config.decay_epochs, config.rotation, config.frame_jitter) == (70, 70, 0, "around")
    assert config.color_jitter > 0
    assert config.learning_rate_in(69) == pytest.approx(8e-4 * 0.987**69)


def test_overrides_win_over_the_recipe_and_none_does_not():
    config = resolve_config("quick", epochs=3, batch_size=None, seed=9)
    assert (config.epochs, config.batch_size, config.seed) == (3, RECIPES["quick"]["batch_size"], 9)


def test_a_shorter_run_decays_for_as_long_as_it_lasts():
    assert resolve_config(epochs=10).decay_epochs == 10
    assert resolve_config(epochs=100).decay_epochs == 50


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_network_has_one_name_however_it_was_asked_for(recipe):
    for name, options in VARIANTS.items():
        assert resolve_config(recipe, name).variant == name
        assert resolve_config(recipe, **options) == resolve_config(recipe, name)
    assert resolve_config(recipe, "ca", pc=True) == resolve_config(recipe)
    assert resolve_config(recipe, "independent", attention_kernel=7) == resolve_config(recipe, "cbam")


def test_a_network_that_no_variant_equals_is_named_after_the_nearest():
    one, other = resolve_config(pc=False, n_layers=3), resolve_config(variant="ca", n_layers=3)
    assert one == other
    assert (one.variant, one.pc, one.n_layers) == ("ca", False, 3)
    assert resolve_config(n_layers=5, mlp_ratio=2, n_heads=8).variant == "mmnet"


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        (
            "fast",
            {},
            "--recipe: mmnet has no recipe 'fast'. Expected one of: released, released-3, paper, quick.",
        ),
        (
            "released",
            {"epochs": 0},
            "--epochs must be at least 1, got 0.",
        ),
        (
            "released",
            {"epochs": 10**30},
            f"--epochs must be at most 1000000, got {10**30}.",
        ),
        (
            "released",
            {"learning_rate": math.inf},
            "--learning-rate must be a finite number, got inf.",
        ),
        (
            "released",
            {"precision": "fp16"},
            "--precision must be 'auto', 'fp32' or 'bf16', got 'fp16'.",
        ),
        (
            "released",
            {"epochs": 5, "decay_epochs": 9},
            "--decay-epochs must be at most --epochs, got 9 and 5. Lower it, or give both.",
        ),
    ],
)
def test_a_value_that_cannot_be_used_names_its_flag_and_limits(recipe, overrides, message):
    with pytest.raises(ConfigError) as error:
        resolve_config(recipe, **overrides)
    assert str(error.value) == message


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match="There is no setting 'learning_rat'. Expected one of: scheme, model, "):
        resolve_config(learning_rat=1)


def test_every_setting_has_its_one_line_of_help():
    assert all(field.description for field in TrainConfig.model_fields.values())


def test_every_recipe_can_be_used():
    assert [resolve_config(recipe).recipe for recipe in RECIPES] == list(RECIPES)
