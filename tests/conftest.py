"""Started in the background, a shell makes its children deaf to Ctrl-C, and theirs; some tests send it to a child."""

import os
import signal

import pytest
from kept_workers import KeptPool

os.environ.pop("COLUMNS", None)  # of the shell that the tests are run in: long lines are folded to it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _kept_workers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_cli.system.workers.ProcessPoolExecutor", KeptPool)
        yield


@pytest.fixture(scope="session")
def explained(tmp_path_factory):
    """A tiny generated release's truth, its store, and two runs on it with weights: continuous and independent maps.

    The networks of the folds are as they were drawn, each otherwise: no test of maps looks at what they have learnt.
    """
    import torch
    from tiny_run import train
    from tiny_truth import STILL, write_moving_store, write_truth

    root = tmp_path_factory.mktemp("explained")
    write_truth(root / "raw")
    store = write_moving_store(root / "casme2.h5", still=[STILL])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_cli.training.loop.Steps.train_epoch", lambda steps, draw, labels: torch.zeros(()))
        for variant in ({}, {"variant": "independent", "attention": "independent"}):
            train(store, root / "runs", epochs=1, batch_size=4, precision="fp32", **variant)
    return root


@pytest.fixture(scope="session")
def slurm():
    """A SLURM cluster of one node on this machine."""
    from slurm_cluster import slurm_cluster

    with slurm_cluster() as cluster:
        yield cluster
