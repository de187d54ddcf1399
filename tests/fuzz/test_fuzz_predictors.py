"""Damage to a landmark model: a clear error, or some landmarks, and no end of the process."""

import dlib
import numpy as np
from campaign import Tally, campaign, damaged, damages, outcome, sizes


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
        path.write_bytes(damaged(whole, damage))
        return outcome(read, path)

    campaign(n_cases, damages, tried, Tally(undisturbed, may_change=True))
