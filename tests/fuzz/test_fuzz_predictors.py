"""Damage to a landmark model: a clear error, or some landmarks, and no end of the process.

Dlib writes every number as a byte with its sign and its length, and then its bytes; a fraction is two such numbers. So
a model can be damaged number by number, with all that follows as it was: that reaches the code behind the first checks.
"""

import dlib
import numpy as np
from campaign import Tally, campaign, damaged, damages, outcome, sizes
from hypothesis import strategies as st

NUMBERS = (0, 1, 2, 67, 68, 255, 65535, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 40) + 1, (1 << 63) - 1)
number_damages = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(NUMBERS), st.booleans()), min_size=1, max_size=3
)


def write_predictor(path):
    """A small model of 68 points, trained on one drawn face."""
    image = np.random.default_rng(0).integers(0, 256, (120, 120), dtype=np.uint8)
    box = dlib.rectangle(20, 20, 99, 99)
    points = dlib.points([dlib.point(24 + n % 10 * 7, 24 + n // 10 * 10) for n in range(68)])
    options = dlib.shape_predictor_training_options()
    options.tree_depth, options.cascade_depth, options.num_trees_per_cascade_level = 2, 2, 3
    options.oversampling_amount, options.feature_pool_size, options.num_test_splits = 3, 20, 3
    model = dlib.train_shape_predictor([image], [[dlib.full_object_detection(box, points)]], options)
    model.save(str(path))
    return path.read_bytes()


def with_damaged_numbers(content, damage):
    numbers = []
    while content:
        n_bytes = 1 + (content[0] & 0x0F)
        numbers.append(content[:n_bytes])
        content = content[n_bytes:]
    for share, number, is_negative in damage:
        held = number.to_bytes(8, "little").rstrip(b"\0") or b"\0"
        # Most numbers are of the trees; half of the damage is to the sizes before them.
        at = int((share * 2 - 1) * len(numbers)) if share >= 0.5 else int(share * 2 * min(20, len(numbers)))
        numbers[at] = bytes([len(held) | (0x80 if is_negative else 0)]) + held
    return b"".join(numbers)


def read(path):
    from mer_cli.faces.landmarks import load_predictor

    predict = load_predictor(path)
    image = np.random.default_rng(1).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    return [(point.x, point.y) for point in predict(image, dlib.rectangle(20, 20, 99, 99)).parts()]


@sizes
def test_a_damaged_predictor_is_read_or_refused(n_cases, tmp_path):
    path = tmp_path / "model.dat"
    whole = write_predictor(path)
    _, undisturbed = outcome(read, path)

    def tried(damage):
        numbers, some_bytes = damage
        path.write_bytes(damaged(with_damaged_numbers(whole, numbers), some_bytes))
        return outcome(read, path)

    cases = st.one_of(st.tuples(number_damages, st.just([])), st.tuples(st.just([]), damages))
    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))
