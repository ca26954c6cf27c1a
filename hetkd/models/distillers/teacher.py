"""The life of a teacher: one place for everything that keeps it safe."""

from copy import copy
from typing import Optional, Sequence

import torch
import torch.nn.functional as F

from hetkd.models.nets.base import RANDOM
from hetkd.models.nets.contract import NetOutput
from hetkd.registry import MODELS


class FrozenTeacher:
    """A net that only teaches.

    It is no ``nn.Module`` on purpose: a distiller that holds one does not see it in ``parameters()``,
    ``state_dict()``, ``train()`` or ``init_weights()``. So it is never in the optimizer, DDP's buckets or a
    checkpoint, never re-initialised, and stays in eval mode. Copies of the distiller (EMA) share it.

    Args:
        config: the net's config, e.g. ``dict(type='TimmNet', ...)``; it must name its weights. An extra key
            ``weight`` (default 1) weighs the distillation losses of this teacher among several.
        data_mean, data_std: normalisation of the incoming images (per channel, 0-255 scale). The teacher's
            input is re-normalised to the net's own mean and std, where it declares them.

    Raises:
        ValueError: the config names no weights.
    """

    def __init__(
        self,
        config: dict,
        data_mean: Optional[Sequence[float]] = None,
        data_std: Optional[Sequence[float]] = None,
    ):
        config = dict(config)
        self.weight = config.pop('weight', 1.0)
        self.net = MODELS.build(config)
        if not self.net.has_weights:
            raise ValueError(
                f'teacher: expected trained weights, got none; set checkpoint=PATH or pretrained=True in '
                f'the teacher of the config ({config.get("model")!r}), or checkpoint={RANDOM!r} if a '
                f'teacher without knowledge is really meant'
            )
        self.net.requires_grad_(False)
        self.net.eval()
        self._affine = self._renormalisation(data_mean, data_std)
        self._follows = True

    @property
    def num_classes(self) -> int:
        """Number of its logits."""
        return self.net.num_classes

    @property
    def stage_specs(self):
        """Its stages; see :class:`~hetkd.models.nets.Net`."""
        return self.net.stage_specs

    @property
    def embedding_channels(self) -> int:
        """Width of its embedding."""
        return self.net.embedding_channels

    @torch.no_grad()
    def __call__(self, inputs, stages: bool = False, embedding: bool = False) -> NetOutput:
        """Run the net on images normalised for the student, at the student's size."""
        return self.net(self.prepare(inputs), stages=stages, embedding=embedding)

    def prepare(self, inputs: torch.Tensor) -> torch.Tensor:
        """The same images as the net was trained to see them: its mean, std and size."""
        size = self.net.input_spec.size
        if size and tuple(inputs.shape[2:]) != size:
            inputs = F.interpolate(inputs, size, mode='bicubic', align_corners=False, antialias=True)
        if self._affine is not None:
            scale, shift = (x.to(inputs.device, inputs.dtype) for x in self._affine)
            inputs = inputs * scale + shift
        return inputs

    def _renormalisation(self, data_mean, data_std):
        """Scale and shift from the data's normalisation to the net's, or None where they agree."""
        spec = self.net.input_spec
        if spec.mean is None:
            return None
        own_mean, own_std, mean, std = (
            torch.tensor(x, dtype=torch.float32).view(-1, 1, 1)
            for x in (spec.mean, spec.std, data_mean or [0.0], data_std or [1.0])
        )
        if own_mean.shape == mean.shape and torch.equal(own_mean, mean) and torch.equal(own_std, std):
            return None
        return std / own_std, (mean - own_mean) / own_std

    def apply_(self, fn) -> None:
        """Follow the distiller's device and dtype (``nn.Module._apply``)."""
        if not self._follows:
            return
        self.net._apply(fn)
        if self._affine is not None:
            self._affine = tuple(fn(x) for x in self._affine)

    def __deepcopy__(self, memo):
        # A copied distiller (EMA, perhaps on another device) shares the net, and must not move it away.
        shared = copy(self)
        shared._follows = False
        return shared
