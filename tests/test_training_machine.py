"""Settings are decided from the facts about the machine that trains, which may be another one than plans."""

import pickle
import platform
from dataclasses import replace

import pytest
import torch
from moved_store import write_moved_store
from tiny_run import config_of
from tiny_store import write_store

from mer_cli import __version__
from mer_cli.errors import ConfigError
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.training import machine as machines
from mer_cli.training.grids import cell_of, plan_comparison, plan_grid
from mer_cli.training.hardware import PAIRS_THAT_REPAY_COMPILING, resolve_hardware
from mer_cli.training.machine import Machine, describe_environment, describe_fold, this_machine
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run
from mer_cli.training.tuning import plan_tuning

LONG = PAIRS_THAT_REPAY_COMPILING
OLD = Machine(  # a node without a GPU, whose processor does not compute in bf16
    host="cpu03",
    processor="Intel Xeon E5-2680 v4",
    threads=14,
    memory=60_000_000_000,
    gpus=(),
    has_mps=False,
    computes_bf16=(),
    can_compile=("cpu", "cuda"),
    python="3.11.2",
    torch="2.14.1",
    mer="0.1.0",
    platform="Linux-6.1",
)
NEW = replace(OLD, host="cpu07", processor="AMD EPYC 9654", computes_bf16=("cpu",))
GPU = replace(OLD, host="gpu07", gpus=("NVIDIA H200", "NVIDIA L4"), computes_bf16=("cuda",))
OLD_GPU = replace(GPU, host="gpu01", gpus=("Tesla T4",), computes_bf16=())
PLAIN_GPU = replace(GPU, host="gpu08", can_compile=("cpu",))


def decided(machine, n_pairs=LONG, **settings):
    """The device, the precision and the compilation that a machine gets."""
    config = resolve_hardware(resolve_config(**{"model": "mmnet"} | settings), n_pairs, machine)
    return config.device, config.precision, config.compile


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (GPU, ("cuda", "bf16", "on")),
        (OLD_GPU, ("cuda", "fp32", "on")),
        (PLAIN_GPU, ("cuda", "bf16", "off")),
        (OLD, ("cpu", "fp32", "off")),
        (NEW, ("cpu", "bf16", "off")),
    ],
    ids=lambda value: value.host if isinstance(value, Machine) else "",
)
def test_each_kind_of_node_gets_the_settings_that_suit_it(machine, expected):
    assert decided(machine) == expected


def test_what_is_stated_holds_on_every_node():
    assert decided(GPU, device="cpu", precision="fp32", compile="off") == ("cpu", "fp32", "off")
    assert decided(OLD, precision="bf16", compile="on") == ("cpu", "bf16", "on")
    assert resolve_hardware(resolve_config(deterministic=True), 0, GPU).deterministic
    assert not resolve_hardware(resolve_config(deterministic=True), 0, OLD).deterministic


def test_only_networks_that_it_makes_faster_compute_in_bf16():
    assert {decided(NEW, model=model)[1] for model in ("ststnet", "augcn-flow")} == {"fp32"}
    assert decided(NEW, model="sssnet")[1] == "bf16"
    assert decided(NEW, model="ststnet", precision="bf16")[1] == "bf16"


def test_on_a_gpu_long_runs_on_images_are_compiled_and_on_a_processor_none():
    assert [decided(GPU, n_pairs)[2] for n_pairs in (LONG - 1, LONG)] == ["off", "on"]
    assert decided(GPU, model="ststnet")[2] == "off"
    assert [decided(NEW, precision=precision)[2] for precision in ("fp32", "bf16")] == ["off", "off"]
    assert decided(NEW, model="ststnet", compile="on")[2] == "on"


@pytest.mark.parametrize(
    ("machine", "settings", "message"),
    [
        (
            OLD,
            {"device": "cuda"},
            "--device cuda: node cpu03 has no NVIDIA GPU that torch can use. Ask the cluster for a node with a GPU, "
            "look at `mer doctor` on the node, or use --device cpu.",
        ),
        (
            GPU,
            {"device": "mps"},
            "--device mps: node gpu07 has no Apple GPU that torch can use. Ask the cluster for a node with a GPU, "
            "look at `mer doctor` on the node, or use --device cpu.",
        ),
        (
            PLAIN_GPU,
            {"compile": "on"},
            "--compile on: torch.compile needs one of gcc, clang, and none is installed on node gpu08. Use --compile "
            "off.",
        ),
        (
            replace(OLD, has_mps=True),
            {"device": "mps", "compile": "on"},
            "--compile on has no effect on an Apple GPU. Leave it out.",
        ),
    ],
)
def test_what_a_node_lacks_is_told_with_its_name(machine, settings, message):
    with pytest.raises(ConfigError) as error:
        decided(machine, **settings)
    assert str(error.value) == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_what_this_machine_lacks_is_told_without_a_name(monkeypatch):
    monkeypatch.setattr("shutil.which", {}.get)
    for settings, message in (
        (
            {"device": "cuda"},
            "--device cuda: torch finds no NVIDIA GPU with a working driver. Look at `mer doctor`, or use --device "
            "cpu.",
        ),
        (
            {"device": "cpu", "compile": "on"},
            "--compile on: torch.compile needs one of g++, clang++, and none is installed. Use --compile off.",
        ),
    ):
        with pytest.raises(ConfigError) as error:
            decided(None, **settings)
        assert str(error.value) == message


def test_this_machine_is_described_by_facts_that_can_be_sent():
    machine = this_machine()
    assert pickle.loads(pickle.dumps(machine)) == machine
    assert (machine.host, machine.threads) == (platform.node(), torch.get_num_threads())
    assert (machine.torch, machine.mer) == (torch.__version__, __version__)
    assert decided(machine, 0) == decided(None, 0)
    assert describe_environment("cpu")["device"] == machine.processor


def test_gpus_are_not_looked_at_when_the_processor_is_wanted(monkeypatch):
    """Reading their names starts CUDA, which takes memory of a GPU that others use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: pytest.fail("CUDA was started"))
    assert this_machine("cpu").gpus == ()


def test_the_processor_is_named_as_the_system_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(machines, "CPU_INFO", tmp_path / "cpuinfo")
    assert this_machine("cpu").processor == (platform.processor() or platform.machine())
    named = tmp_path / "named"
    monkeypatch.setattr(machines, "CPU_INFO", named)
    named.write_text("processor\t: 0\nmodel name\t: AMD EPYC: 64\nprocessor\t: 1\nmodel name\t: B\n")
    assert this_machine("cpu").processor == "AMD EPYC: 64"


def test_a_run_planned_for_another_machine_is_the_run_that_machine_would_plan(tmp_path):
    store = write_store(tmp_path / "casme2.h5")
    plan = plan_run([store], config_of(device="auto", precision="auto"), machine=GPU)
    assert (plan.config.device, plan.config.precision) == ("cuda", "bf16")
    assert describe_environment(plan.config.device, GPU) == {
        "python": "3.11.2",
        "torch": "2.14.1",
        "platform": "Linux-6.1",
        "device": "NVIDIA H200",
        "threads": 14,
    }
    stated = config_of(device="cpu", precision="fp32", compile="off")
    assert {plan_run([store], stated, machine=machine).config.run_name for machine in (None, OLD, GPU)} == {
        plan_run([store], stated).config.run_name
    }


def test_all_runs_of_a_grid_are_planned_for_the_machine_that_trains(tmp_path):
    words = ("happiness", "disgust", "surprise")
    emotions = {f"casme2/0{subject}/EP0{clip}": words[clip] for subject in (1, 2, 3, 4) for clip in (0, 1, 2)}
    stores, settings, out = [write_store(tmp_path / "casme2.h5", emotions)], {"scheme": "mmnet3", "epochs": 2}, tmp_path
    (grid, *_) = plan_grid("3", stores, settings, 1, out, machine=GPU)
    compared = plan_comparison(stores, settings, 1, out, methods="mmnet", machine=GPU).cells[0]
    ((tuned, _),) = plan_tuning(stores, settings | {"inner_val": 1}, {"batch_size": [2, 4]}, 1, out, machine=GPU)
    assert {cell.plan.config.device for cell in (grid, compared, tuned)} == {"cuda"}


def test_the_turns_of_a_run_are_counted_by_the_cores_and_the_memory_of_the_machine_that_trains(tmp_path):
    plan = plan_run([write_store(tmp_path / "casme2.h5")], config_of(model="ststnet", epochs=5000))
    small = replace(OLD, threads=2)
    poor = replace(OLD, memory=1)
    assert [cell_of("ststnet", plan, tmp_path, node).n_turns for node in (OLD, small, poor)] == [1, 2, 3]


def test_each_fold_records_the_machine_and_the_threads_that_trained_it(tmp_path, monkeypatch):
    """A fold of this network is trained on one thread, while the process that writes it has two."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "1234")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    store = write_moved_store(tmp_path / "casme2.h5").path
    config = config_of(model="ststnet", flow="fast", epochs=1)
    plan = plan_run([store], config, wanted=["01", "02"])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        path = train_run(plan, tmp_path / "runs", folds_at_once=1)
    finally:
        torch.set_num_threads(before)
    machines = read_run(path).machines
    assert list(machines) == ["casme2-01", "casme2-02"]
    assert machines["casme2-01"] == machines["casme2-02"]
    found = machines["casme2-01"]
    assert (found["host"], found["job"], found["threads"]) == (platform.node(), "slurm 1234_5", 1)
    assert found["device"] == this_machine("cpu").processor
    assert {"python", "torch", "numpy", "scikit-learn", "mer", "platform", "system", "instructions"} < found.keys()


@pytest.mark.parametrize(
    ("given", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "77"}, "slurm 77"),
        ({"SLURM_JOB_ID": "77", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "3"}, "slurm 70_3"),
        ({"RAY_JOB_ID": "02000000", "SLURM_JOB_ID": "77"}, "ray 02000000, slurm 77"),
    ],
)
def test_a_fold_records_the_job_that_trained_it(given, job, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "RAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert describe_fold("cpu").get("job") == job
