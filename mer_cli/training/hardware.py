"""Decide how a run uses the machine: device, precision, compilation, folds in parallel, and whether memory is enough.

Device, precision and compilation are decided once, when a run is created, and kept in its config, so that a resumed run
computes as its first part did.

The sums of a network are rounded by the number of threads that share them. So the number depends on the network and
not on how many folds run in parallel: each fold of a network on motion has one thread, and several folds fill the
cores. A fold of MMNet fills a GPU; networks on motion leave most of it idle, so several of their folds share it.

A fold that does not fit into the device's memory is refused:

    needed = clips x bytes of a clip + 16 x parameters + ACTIVATIONS x batch x saved bytes of a clip + WORKSPACE

16 bytes are a weight, its gradient and the optimiser's two moments in float32. What a training step saves of a clip for
its backward pass is counted from the network itself. The two constants leave room above the measurements
(docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

import torch

from mer_cli.engines.engine import Needs
from mer_cli.errors import ConfigError
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.inputs import MotionInput
from mer_cli.records import Fold
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.plan import RunPlan
from mer_cli.system.workers import available_memory
from mer_cli.training.cost import count_parameters, count_saved
from mer_cli.training.machine import COMPILERS, Machine, this_machine

Config = TypeVar("Config", bound=TrainConfig)

# Measured on an H200 (docs/performance.md): compiling takes 40 s and saves .16 ms a pair of MMNet, and of the small
# networks on motion nothing that would repay it. On the CPU no network is faster for it, most are slower.
PAIRS_THAT_REPAY_COMPILING = 300_000
# On the CPU bf16 costs these more in conversions than it saves; with the other networks it saves a quarter to a half.
FASTER_IN_FP32 = ("ststnet", "augcn-flow")

# Bytes that ResNet-18 on dynamic images, the largest of the networks on motion, took with 33 clips, and .3 GB for 250.
WORKER_MEMORY = 2_300_000_000
# A process needs some 4 s to import torch and read the clips. In that time STSTNet, the smallest of these networks, is
# trained on 10,000 pairs.
PAIRS_THAT_REPAY_WORKERS = 10_000
MOTION_FOLDS_ON_GPU = 4  # on a node whose memory nobody has measured; each takes some 2.5 GB

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and values of glibc's malloc.h


def resolve_hardware(config: Config, n_pairs: int, machine: Machine | None = None) -> Config:
    """Return the config with every "auto" of device, precision and compile replaced by what suits the machine.

    Parameters
    ----------
    n_pairs : onset-apex pairs that the whole run trains on: folds x epochs x training clips
    machine : the machine that will train, if it is not this one

    Raises
    ------
    ConfigError
        If the config asks for a device or for compilation, and the machine lacks the device or the compiler.
    """
    elsewhere = machine.host if machine else ""
    machine = machine or this_machine(config.device)
    device = config.device
    if device == "auto":
        device = "cuda" if machine.has("cuda") else "cpu"
    elif not machine.has(device):
        raise ConfigError(f"--device {device}: {_without(device, elsewhere)}")
    precision = config.precision
    if precision == "auto":
        is_own = config.foreign is not None  # nobody measured whether its numbers bear fewer digits
        loses = is_own or device == "mps" or (device == "cpu" and config.model in FASTER_IN_FP32)
        precision = "bf16" if device in machine.computes_bf16 and not loses else "fp32"
    compiled = config.compile
    if compiled == "auto":
        repays = device == "cuda" and n_pairs >= PAIRS_THAT_REPAY_COMPILING
        gains = repays and config.foreign is None and not config.method.sees_motion
        compiled = "on" if gains and device in machine.can_compile else "off"
    elif compiled == "on":
        _require_compiling(config, device, machine, elsewhere)
    deterministic = config.deterministic and device == "cuda"  # the CPU always is; MPS has no switch for it
    settled = {"device": device, "precision": precision, "compile": compiled, "deterministic": deterministic}
    return config.model_copy(update=settled)


def _without(device: str, elsewhere: str) -> str:
    """Return an error text: a machine lacks the device; `elsewhere` names it if it is not this one."""
    gpu = "NVIDIA GPU" if device == "cuda" else "Apple GPU"
    if elsewhere:
        return (
            f"node {elsewhere} has no {gpu} that torch can use. Ask the cluster for a node with a GPU, look at `mer "
            "doctor` on the node, or use --device cpu."
        )
    if device == "cuda":
        return "torch finds no NVIDIA GPU with a working driver. Look at `mer doctor`, or use --device cpu."
    return "torch finds no Apple GPU. Use --device cpu."


def _require_compiling(config: TrainConfig, device: str, machine: Machine, elsewhere: str) -> None:
    """Raise a ConfigError if --compile on can't have an effect, or the machine lacks the compiler."""
    if config.foreign and not config.foreign.keeps_no_state:
        raise ConfigError(
            f"--compile on: {config.foreign.code} gets a fresh module for every fold, which would be compiled again. "
            "Leave it out, or say KEEPS_NO_STATE = True in the class, if all its state is in its state dict."
        )
    if device == "mps":
        raise ConfigError("--compile on has no effect on an Apple GPU. Leave it out.")
    if device not in machine.can_compile:
        needed, where = ", ".join(COMPILERS[device]), f" on node {elsewhere}" if elsewhere else ""
        raise ConfigError(
            f"--compile on: torch.compile needs one of {needed}, and none is installed{where}. Use --compile off."
        )


def parse_gpus(text: str) -> tuple[int, ...]:
    """Return the GPU numbers in a text such as "0,1"; raise a ConfigError for any other text."""
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f"--gpus must be numbers as `nvidia-smi` shows them, such as 0,1, got '{text}'.")
    return tuple(map(int, numbers))


def resolve_gpus(config: TrainConfig, wanted: Sequence[int] | None) -> tuple[int, ...]:
    """Return the CUDA numbers of the GPUs to train on: `wanted`, or the first GPU if None; empty without CUDA.

    Raises
    ------
    ConfigError
        If GPUs are wanted but the config's device is not CUDA, or a wanted GPU does not exist.
    """
    if config.device != "cuda":
        if wanted:
            raise ConfigError(
                f"--gpus has no effect with --device {config.device}. Leave it out; `mer doctor` says why."
            )
        return ()
    available = range(torch.cuda.device_count())
    absent = [gpu for gpu in wanted or () if gpu not in available]
    if absent:
        raise ConfigError(f"--gpus: there is no GPU {absent[0]}. Available: {', '.join(map(str, available))}.")
    return tuple(dict.fromkeys(wanted or (0,)))


def parse_folds_at_once(text: str) -> int | None:
    """Return the number in a text such as "2", or None for "auto"; raise a ConfigError for any other text."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"--folds-at-once must be auto, or a number of at least 1, got {text!r}.")
    return int(text)


def choose_folds_at_once(
    config: TrainConfig,
    todo: Sequence[Fold],
    wanted: int | None,
    n_cores: int,
    n_devices: int = 1,
    memory: int | None = None,
) -> int:
    """Return the number of folds to train in parallel; several folds are trained in worker processes.

    Parameters
    ----------
    config : with its device decided
    todo : folds that are to be trained
    wanted : folds for each device (the processor is one device); None takes one fold for each core if the method is a
        network on motion (fewer if memory is short), and one fold for each device otherwise
    n_cores : torch's number of threads, which is that of the cores unless somebody changed it
    memory : bytes that new processes can use; None looks at this machine
    """
    if wanted is not None:
        return max(1, min(wanted * n_devices, len(todo)))
    n_pairs = sum(len(fold.train) for fold in todo) * config.epochs
    if not config.method.sees_motion or n_pairs < PAIRS_THAT_REPAY_WORKERS or config.device == "mps":
        return min(n_devices, len(todo))
    memory = available_memory() if memory is None else memory
    n_fitting = len(todo) if memory is None else memory // WORKER_MEMORY
    return max(1, min(max(n_cores, n_devices), len(todo), n_fitting))


def threads_of_fold(config: TrainConfig, wanted: int | None, n_cores: int) -> int:
    """Return the number of torch threads that train a fold on this machine.

    A fold of a network on motion has one thread: a second thread speeds it up less than a second fold would.

    Parameters
    ----------
    wanted, n_cores : as in `choose_folds_at_once`; a network on images divides the threads among the folds in parallel
    """
    return 1 if config.method.sees_motion else max(1, n_cores // (wanted or 1))


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Let torch compute with this number of threads for a `with` block; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Tell glibc to keep the memory that a training step frees for the next step; results stay the same.

    By default every large tensor is returned to the system, and mapped and zeroed again a moment later, which takes a
    fifth of a CPU step (docs/performance.md). Has no effect with another C library.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 2**31 - 1)
    mallopt(M_TRIM_THRESHOLD, -1)


def memory_layout(config: TrainConfig) -> torch.memory_format:
    """Return the memory layout of images and weights: channels last, but not for your own or on the CPU in fp32."""
    # With float32 on the CPU, channels last is a fifth slower. Your own network may say x.view(len(x), -1), which
    # fails with channels last, or have the 5-dimensional weights of Conv3d.
    is_plain_float = config.device != "cuda" and config.precision == "fp32"
    return torch.contiguous_format if config.foreign or is_plain_float else torch.channels_last


def set_up_device(config: TrainConfig) -> None:
    """Set the process-wide switches that the config asks for; call this before the network goes to the device."""
    if config.device == "cpu":
        keep_freed_memory()
    if config.device != "cuda":
        return
    # By default CUDA computes float32 convolutions in the shorter TF32; float32 is the reference here.
    torch.backends.cudnn.allow_tf32 = config.precision != "fp32"
    torch.use_deterministic_algorithms(config.deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads uninitialised memory
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS


ACTIVATIONS = 1.5  # gradients and intermediate results on top of what is saved
WORKSPACE = 1_500_000_000  # CUDA itself, and its libraries' scratch memory
BYTES_OF_A_WEIGHT = 16


@dataclass(frozen=True)
class NeededMemory:
    """The memory that training a fold needs on the device, in bytes.

    clips : all clips of the run · weights : the weights with their gradients and the optimiser's moments
    per_pair : what a training step needs for each clip of the batch · rest : CUDA itself and its libraries
    """

    clips: int
    weights: int
    per_pair: int
    rest: int = WORKSPACE

    def total(self, batch_size: int) -> int:
        return self.clips + self.weights + batch_size * self.per_pair + self.rest


def count_memory(config: TrainConfig, n_clips: int, n_classes: int) -> NeededMemory:
    """Return the memory that a fold needs on the device, which also holds all `n_clips` clips of the run."""
    sees, options = config.method.sees, config.network_options
    clip = 2 * (2 * HALF_WINDOW + 1) * CROP_SIZE * CROP_SIZE * 3  # two windows, uint8
    if isinstance(sees, MotionInput):
        clip = sees.n_planes * sees.size * sees.size * 4
    saved = count_saved(config.method, n_classes, **options) // (2 if config.precision == "bf16" else 1)
    weights = BYTES_OF_A_WEIGHT * count_parameters(config.method, n_classes, **options)
    return NeededMemory(n_clips * clip, weights, int(ACTIVATIONS * saved))


def fit_into_memory(
    config: TrainConfig, n_clips: int, n_classes: int, gpus: Sequence[int], n_at_once: int, *, is_asked_for: bool
) -> int:
    """Return the number of folds, at most `n_at_once`, that the GPUs have memory to train in parallel.

    Parameters
    ----------
    is_asked_for : whether the user gave the number `n_at_once`, which is then not lowered

    Raises
    ------
    ConfigError
        If the number was asked for and does not fit, or not even one fold fits.
    """
    needed = count_memory(config, n_clips, n_classes)
    # What this process holds belongs to the run before; this run uses it again or frees it.
    free = min(torch.cuda.mem_get_info(gpu)[0] + torch.cuda.memory_reserved(gpu) for gpu in gpus)
    on_each = ceil(n_at_once / len(gpus))
    if not is_asked_for:
        on_each = max(1, min(on_each, free // needed.total(config.batch_size)))
    require_memory(config, needed, free, on_each)
    return min(n_at_once, on_each * len(gpus))


def require_memory(config: TrainConfig, needed: NeededMemory, free: int, folds_on_device: int) -> None:
    """Raise an error if the folds that share a device would run out of memory.

    Parameters
    ----------
    needed : memory of one fold
    free : free bytes of the device
    folds_on_device : number of folds that share the device, each in a process of its own

    Raises
    ------
    ConfigError
        If the folds would not fit; the message says what number of folds or batch size would.
    """
    of_a_fold = needed.total(config.batch_size)
    if folds_on_device * of_a_fold <= free:
        return
    n_fitting = free // of_a_fold
    largest = (free - needed.total(0)) // needed.per_pair
    if n_fitting:
        advice = f"Give --folds-at-once {n_fitting}."
    elif largest >= 2:
        advice = f"Give --batch-size {largest} (another run, since BatchNorm sees the batch), or --device cpu."
    else:
        advice = "Free the GPU, or use --device cpu."
    flag, folds = "--batch-size", "a fold"
    if folds_on_device > 1:
        flag, folds = "--folds-at-once", f"{folds_on_device} folds in parallel"
    raise ConfigError(
        f"{flag}: {folds} of {config.batch_size} clips a step would need {folds_on_device * of_a_fold / 1e9:.1f} "
        f"GB on the GPU (clips {needed.clips / 1e9:.1f}, weights {needed.weights / 1e9:.1f}, step "
        f"{config.batch_size * needed.per_pair / 1e9:.1f}, workspace {needed.rest / 1e9:.1f} each), which has "
        f"{free / 1e9:.1f} GB free. {advice}"
    )


def needs_elsewhere(config: TrainConfig, folds_at_once: int | None) -> Needs:
    """Return what a fold needs on another machine: a thread for a network on motion, otherwise all cores.

    Parameters
    ----------
    folds_at_once : folds that share a GPU; None lets networks on motion share it, which leave most of it idle

    Raises
    ------
    ConfigError
        If the number is given and the folds are not trained on GPUs.
    """
    sees_motion = config.method.sees_motion
    if folds_at_once and config.device != "cuda":
        raise ConfigError(
            f"--folds-at-once has no effect with --engine ray and --device {config.device}, where the cores of the "
            "nodes decide. Leave it out."
        )
    on_each_gpu = folds_at_once or (MOTION_FOLDS_ON_GPU if sees_motion else 1)
    return Needs(1 if sees_motion else None, config.device, on_each_gpu)


def needs_here(
    runs: Sequence[tuple[RunPlan, Sequence[Fold]]], folds_at_once: int | None, gpus: Sequence[int] | None, n_cores: int
) -> Needs:
    """Return what each fold of some runs needs on this machine, where they share the places.

    Parameters
    ----------
    runs : with their folds to train; all on the same device, and all with networks on motion or none
    folds_at_once, gpus : as they were asked for, None if they were not · n_cores : torch's number of threads

    Raises
    ------
    ConfigError
        As `resolve_gpus` and `fit_into_memory`.
    """
    config = runs[0][0].config
    devices = resolve_gpus(config, gpus)
    folds = [fold for _, todo in runs for fold in todo]
    n_at_once = max(
        choose_folds_at_once(plan.config, folds, folds_at_once, n_cores, len(devices) or 1) for plan, _ in runs
    )
    if devices:
        for plan, _ in runs:
            if plan.config.method.is_network:  # a learner alone knows what it needs
                n_clips, n_classes, is_asked_for = (
                    len(plan.labels),
                    len(plan.config.class_names),
                    folds_at_once is not None,
                )
                n_at_once = fit_into_memory(
                    plan.config, n_clips, n_classes, devices, n_at_once, is_asked_for=is_asked_for
                )
        torch.cuda.set_device(devices[0])
    return Needs(threads_of_fold(config, folds_at_once, n_cores), config.device, at_once=n_at_once, gpus=devices)
