"""What the machine will be to a run: device, precision, compiled or not, and whether its memory is enough.

It is resolved once, when a run is created, and kept in its config, so that a resumed run computes as the first part
did. A fold that does not fit into the device's memory is refused:

    needed = clips x bytes of a clip + 16 x parameters + ACTIVATIONS x batch x saved bytes of a clip + WORKSPACE

16 bytes are a weight, its gradient and the optimiser's two moments in float32. What a training step saves of a clip for
its backward pass is counted from the network itself. The two constants leave room over what was measured
(docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
from dataclasses import dataclass

import torch

from mer_cli.errors import ConfigError
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.methods import METHODS
from mer_cli.training.cost import count_parameters, count_saved

# Measured on an H200 (docs/performance.md): compiling takes 40 s and saves .16 ms a pair of MMNet, and of the small
# networks on motion nothing that would repay it. On the CPU no network is faster for it, most are slower.
PAIRS_THAT_REPAY_COMPILING = 300_000
# On the CPU bf16 costs these more in conversions than it saves; of the other networks it saves a quarter to a half.
FASTER_IN_FP32 = ("ststnet", "augcn-flow")

COMPILERS = {"cpu": ("g++", "clang++"), "cuda": ("gcc", "clang")}

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and values of glibc's malloc.h


def resolve_hardware(config: TrainConfig, n_pairs: int) -> TrainConfig:
    """Return the config with device, precision and compile decided; a classical method's recipe says all three.

    Parameters
    ----------
    n_pairs : onset-apex pairs that the whole run trains on: folds x epochs x training clips

    Raises
    ------
    ConfigError
        If a device or the compiler is asked for and not available.
    """
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda: torch finds no NVIDIA GPU with a working driver. Look at `mer doctor`, or use --device cpu."
        )
    elif device == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: torch finds no Apple GPU. Use --device cpu.")
    precision = config.precision
    if precision == "auto":
        loses = device == "mps" or (device == "cpu" and config.model in FASTER_IN_FP32)
        precision = "bf16" if computes_in_bf16(device) and not loses else "fp32"
    compiled = config.compile
    if compiled == "auto":
        gains = device == "cuda" and not config.method.sees_motion and n_pairs >= PAIRS_THAT_REPAY_COMPILING
        compiled = "on" if gains and can_compile(device) else "off"
    elif compiled == "on" and not can_compile(device):
        needed = ", ".join(COMPILERS[device])
        raise ConfigError(
            f"--compile on: torch.compile needs one of {needed}, and none is installed. Use --compile off."
        )
    deterministic = config.deterministic and device == "cuda"  # the others know no other way
    settled = {"device": device, "precision": precision, "compile": compiled, "deterministic": deterministic}
    return config.model_copy(update=settled)


def parse_gpus(text: str) -> tuple[int, ...]:
    """The numbers in "0,1".

    Raises
    ------
    ConfigError
        If something in it is no number.
    """
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdecimal() for number in numbers):
        raise ConfigError(f"--gpus must be numbers as `nvidia-smi` shows them, such as 0,1, got '{text}'.")
    return tuple(map(int, numbers))


def computes_in_bf16(device: str) -> bool:
    """Whether the device has bf16 arithmetic of its own; emulated bf16 is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def can_compile(device: str) -> bool:
    """Whether torch.compile has the compiler that it needs: of C++ on the CPU, of C for Triton's launchers on CUDA."""
    if device == "cuda" and "CC" in os.environ:
        return True
    return any(shutil.which(compiler) for compiler in COMPILERS[device])


def keep_freed_memory() -> None:
    """Tells glibc to keep the memory that a training step frees for the next one; moves no number.

    By default every large tensor is handed back to the system, and mapped and zeroed anew a moment later: a fifth of a
    CPU step (docs/performance.md). Systems with another C library are left as they are.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, 2**31 - 1)
    mallopt(M_TRIM_THRESHOLD, -1)


def memory_layout(config: TrainConfig) -> torch.memory_format:
    """How pictures and weights lie: channels last, but for float32 on the CPU, which that makes slower by a fifth."""
    is_plain_float = config.device != "cuda" and config.precision == "fp32"
    return torch.contiguous_format if is_plain_float else torch.channels_last


def set_up_device(config: TrainConfig) -> None:
    """Switches of this process that the config asks for, before the network goes to the device."""
    if config.device == "cpu":
        keep_freed_memory()
    if config.device != "cuda":
        return
    # By default CUDA convolutions of float32 compute in the shorter TF32; float32 is the reference here.
    torch.backends.cudnn.allow_tf32 = config.precision != "fp32"
    torch.use_deterministic_algorithms(config.deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no code reads such
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it then


def describe_environment(device: str) -> dict[str, str | int]:
    """What the run directory records of the machine: versions, device name, threads."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


ACTIVATIONS = 1.5  # gradients and intermediate results on top of what is saved
WORKSPACE = 1_500_000_000  # CUDA itself, and what its libraries take to compute with
BYTES_OF_A_WEIGHT = 16


@dataclass(frozen=True)
class NeededMemory:
    """Bytes on the device: of all clips, of the weights with what trains them, of one clip in a step, and the rest."""

    clips: int
    weights: int
    per_pair: int
    rest: int = WORKSPACE

    def total(self, batch_size: int) -> int:
        return self.clips + self.weights + batch_size * self.per_pair + self.rest


def count_memory(config: TrainConfig, n_clips: int, n_classes: int) -> NeededMemory:
    """What a fold of `config` needs, every clip of the run on the device."""
    saved = count_saved(config.model, n_classes, **config.network_options)
    if config.precision == "bf16":
        saved //= 2
    weights = BYTES_OF_A_WEIGHT * count_parameters(config.model, n_classes, **config.network_options)
    return NeededMemory(n_clips * _bytes_of_a_clip(config.model), weights, int(ACTIVATIONS * saved))


def require_memory(config: TrainConfig, needed: NeededMemory, free: int, folds_on_device: int) -> None:
    """Refuses a run that would end for lack of memory.

    Parameters
    ----------
    free : bytes that the device has left
    folds_on_device : folds that share it, each with a process of its own

    Raises
    ------
    ConfigError
        If they would not fit; the message names what would.
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
        flag, folds = "--folds-at-once", f"{folds_on_device} folds at once"
    raise ConfigError(
        f"{flag}: {folds} of {config.batch_size} clips a step would need {folds_on_device * of_a_fold / 1e9:.1f} "
        f"GB on the GPU (clips {needed.clips / 1e9:.1f}, weights {needed.weights / 1e9:.1f}, step "
        f"{config.batch_size * needed.per_pair / 1e9:.1f}, workspace {needed.rest / 1e9:.1f} each), which has "
        f"{free / 1e9:.1f} free — expected no more than that. {advice}"
    )


def _bytes_of_a_clip(model: str) -> int:
    wanted = METHODS[model].sees
    if not isinstance(wanted, MotionInput):
        return 2 * (2 * HALF_WINDOW + 1) * CROP_SIZE * CROP_SIZE * 3  # two windows, uint8
    return wanted.n_planes * wanted.size * wanted.size * 4
