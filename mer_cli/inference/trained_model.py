"""The two kinds of models that mer trains: networks, one or one for each fold of a run, and support-vector machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_cli.errors import RunError
from mer_cli.faces.mean_face import MEAN_FACE, on_own_face
from mer_cli.inference.model import Facts, NewClip
from mer_cli.inference.saliency import explain_clips
from mer_cli.inference.seen import Drawn, Fixed, draw, network_inputs, vectors
from mer_cli.models.canonical_cnn import symmetrical
from mer_cli.motion.inputs import MotionInput, PairInput
from mer_cli.runs.config import TrainConfig
from mer_cli.training.hardware import memory_layout
from mer_cli.training.loop import HELD_OUT_BATCH
from mer_cli.training.own_network import blamed_on_own_code, check_logits
from mer_cli.training.support_vectors import SupportVectors, UnitVectors


@dataclass(frozen=True)
class Member:
    """One network of a model.

    name : for errors, such as "fold casme2-01"
    weights : reads its state dict; a run's networks together may be larger than the memory
    fixed : what its training clips fix of its input
    """

    name: str
    weights: Callable[[], dict[str, Tensor]]
    fixed: Fixed


class NetworkModel:
    """A model of one or several networks of the same method (a `Model`), computed on the processor.

    config : the settings that the networks were trained with; device and precision are those that answer here
    """

    def __init__(self, path: Path, facts: Facts, config: TrainConfig, networks: Sequence[Member]) -> None:
        self.path, self.facts, self.members = path, facts, len(networks)
        # bf16 is kept where the processor trained in it: in float32 the network is another one, by its last digits.
        precision = config.precision if config.device == "cpu" else "fp32"
        self.config = config.model_copy(update={"device": "cpu", "precision": precision, "compile": "off"})
        self.needs_clips = config.method.sees.needs_clips(config.span)
        self.steps = config.steps
        self._members = tuple(networks)
        self._network = self._build()
        self._held: Member | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the networks, in their order."""
        return tuple(member.name for member in self._members)

    def logits(self, clips: Sequence[NewClip]) -> NDArray[np.float32]:
        """Return the logits of each network for each clip, (members, n, classes), not calibrated.

        Raises
        ------
        RunError
            If weights can't be read, or a logit is not finite.
        """
        n_classes = len(self.facts.class_names)
        if not clips:
            return np.empty((self.members, 0, n_classes), np.float32)
        drawn = draw(clips, self.config)
        found = np.stack([self._logits(network, member, drawn) for member, network in self.networks()])
        wrong = np.flatnonzero(~np.isfinite(found).all(axis=(1, 2)))
        if len(wrong):
            raise RunError(
                f"{self.path}: the logits of {self._members[wrong[0]].name} are not finite: its training diverged. "
                "Train again with a lower learning rate (--learning-rate)."
            )
        return found

    def networks(self) -> Iterator[tuple[Member, nn.Module]]:
        """Yield each network with its weights, in evaluation mode; it is the same module each time, filled anew."""
        for member in self._members:
            if self._held is not member:
                self._fill(member)
            yield member, self._network

    def inputs(self, clips: Sequence[NewClip], member: Member) -> tuple[Tensor, ...]:
        """Return the inputs of one of the networks for clips, at least one."""
        return network_inputs(draw(clips, self.config), slice(None), self.config, member.fixed)

    def maps(self, clips: Sequence[NewClip], classes: Sequence[int]) -> NDArray[np.float32] | None:
        """Return where in each clip its answer comes from, (n, 224, 224) in 0..1: the mean over the networks."""
        own = np.stack([clip.landmarks for clip in clips])
        on_mean_face = "shape" in self.config.steps
        landmarks = np.broadcast_to(MEAN_FACE, own.shape) if on_mean_face else own
        sees = self.config.method.sees
        assert isinstance(sees, PairInput | MotionInput), self.config.model
        found = [
            explain_clips(
                network,
                self.inputs(clips, member),
                sees,
                name=f"{self.path}: {member.name}",
                classes=classes,
                landmarks=landmarks,
            ).maps
            for member, network in self.networks()
        ]
        maps = np.asarray(np.mean(found, axis=0), np.float32)
        return np.stack([on_own_face(*pair) for pair in zip(maps, own, strict=True)]) if on_mean_face else maps

    def half_logits(self, clips: Sequence[NewClip]) -> NDArray[np.float32] | None:
        """Return the logits for the symmetrical faces of each clip's left and right half, (2, members, n, classes).

        None unless the network sees u and v of the flow on the mean face, whose middle is that of the image, and the
        sign of u still means a direction: not if each clip's motion is stretched to a range.
        """
        sees, config = self.config.method.sees, self.config
        sees_halves = isinstance(sees, MotionInput) and sees.channels == ("u", "v") and "shape" in config.steps
        if not sees_halves or config.normalisation != "standard":
            return None
        drawn = draw(clips, config)
        found = []
        for member, network in self.networks():
            motion, *graph = network_inputs(drawn, slice(None), config, member.fixed)
            found.append([self._forward(network, (face, *graph)) for face in symmetrical(motion)])
        return np.asarray(found, np.float32).swapaxes(0, 1)

    def _logits(self, network: nn.Module, member: Member, drawn: Drawn) -> NDArray[np.float32]:
        batches = range(0, len(drawn), HELD_OUT_BATCH)
        rows = (slice(start, start + HELD_OUT_BATCH) for start in batches)
        return np.concatenate(
            [self._forward(network, network_inputs(drawn, part, self.config, member.fixed)) for part in rows]
        )

    @torch.no_grad()
    def _forward(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
        layout = memory_layout(self.config)
        laid_out = [held.contiguous(memory_format=layout) if held.ndim == 4 else held for held in inputs]
        is_bf16 = self.config.precision == "bf16"
        with blamed_on_own_code(self.config), torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            output = network(*laid_out)
            if self.config.foreign:
                check_logits(output, len(inputs[0]), len(self.facts.class_names), self.config.foreign.code)
        return np.asarray(output.float().numpy(), np.float32)

    def _build(self) -> Any:
        with blamed_on_own_code(self.config), torch.random.fork_rng(devices=[]):
            network = self.config.method.build(len(self.facts.class_names), **self.config.network_options)
        return network.to(memory_format=memory_layout(self.config)).eval()

    def _fill(self, member: Member) -> None:
        weights = member.weights()
        if self.config.foreign:  # your own module may keep a state outside its state dict
            self._network = self._build()
        try:
            self._network.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise RunError(
                f"{self.path}: the weights of {member.name} are not those of {self.config.model} with these settings "
                f"({reason[:200]}). Train again."
            ) from None
        self._held = member


class MachineModel:
    """A model of a descriptor and a support-vector machine, or a machine for each action unit (a `Model`)."""

    members = 1

    def __init__(self, path: Path, facts: Facts, config: TrainConfig, machine: SupportVectors | UnitVectors) -> None:
        self.path, self.facts, self.config, self.machine = path, facts, config, machine
        self.needs_clips = config.method.sees.needs_clips(config.span)
        self.steps = config.steps

    def logits(self, clips: Sequence[NewClip]) -> NDArray[np.float32]:
        """Return the machine's decision values for each clip and class, (1, n, classes)."""
        n_classes = len(self.facts.class_names)
        if not clips:
            return np.empty((1, 0, n_classes), np.float32)
        return self.machine.logits(vectors(clips, self.config), n_classes)[None]

    def maps(self, clips: Sequence[NewClip], classes: Sequence[int]) -> None:
        """Return None: a support-vector machine has no maps."""

    def half_logits(self, clips: Sequence[NewClip]) -> None:
        """Return None: only networks are asked about half a face."""
