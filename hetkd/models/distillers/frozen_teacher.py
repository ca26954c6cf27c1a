"""The frozen teacher."""

import contextlib
import hashlib
from copy import copy
from typing import Literal, Optional, Sequence

import torch
import torch.nn.functional as F

from hetkd.arguments import Weight, check_value
from hetkd.errors import UserError
from hetkd.models.nets.base import RANDOM
from hetkd.models.nets.contract import NetOutput
from hetkd.models.nets.running import compile_net, to_dtype
from hetkd.registry import MODELS

from .teacher import Teacher

# Keys of a teacher's config that are not the net's.
OWN_KEYS = {
    'weight': Weight,
    'dtype': Optional[str],
    'compile': bool,
    'channels_last': bool,
    'resize': Literal['bilinear', 'bicubic'],
    'cache': Optional[str],
}


@MODELS.register_module()
class FrozenTeacher(Teacher):
    """A net in eval mode, without gradient; see :class:`Teacher` for what keeps it safe.

    Args:
        net: the net's config, e.g. ``dict(type='TimmNet', ...)``; it must name its weights. Further keys
            are of the teacher:

            - ``weight`` (default 1) weighs the distillation losses of this teacher among several.
            - ``dtype``: ``'bfloat16'`` or ``'float16'`` for weights and arithmetic; default as loaded. What
              it gives is float32 all the same.
            - ``channels_last`` (default False): memory layout, faster for convolutions.
            - ``compile`` (default False): run it through ``torch.compile``.
            - ``resize``: ``'bilinear'`` or ``'bicubic'``, the filter for images of another size than its
              own. Default: the one that its file records (see ``export_student``), else bicubic.
            - ``cache``: folder of its outputs; then a :class:`~hetkd.teacher_cache.CachedTeacher` stands in
              its place.
        data_mean, data_std: normalisation of the incoming images (per channel, 0-255 scale). The teacher's
            input is re-normalised to the net's own mean and std, where it declares them.

    Raises:
        UserError: the config names no weights, another dtype, or another filter than the file records.
    """

    def __init__(
        self,
        net: dict,
        data_mean: Optional[Sequence[float]] = None,
        data_std: Optional[Sequence[float]] = None,
    ):
        for key in OWN_KEYS.keys() & net.keys():
            check_value(net[key], OWN_KEYS[key], f'teacher.{key}')
        if net.get('cache') is not None:
            raise UserError(
                'teacher.net.cache',
                'a teacher that runs',
                repr(net['cache']),
                'for a cache write the net itself as the teacher: teacher=dict(cache=..., type=..., ...)',
            )
        super().__init__(net.get('weight', 1.0))
        self._compiles, self._channels_last = net.get('compile', False), net.get('channels_last', False)
        self._dtype = to_dtype(net.get('dtype'))
        self.net = MODELS.build({key: value for key, value in net.items() if key not in OWN_KEYS})
        if not self.net.has_weights:
            raise UserError(
                'teacher',
                'trained weights',
                'none',
                'set checkpoint=PATH or pretrained=True in the teacher of the config '
                f'({net.get("model")!r}), or checkpoint={RANDOM!r} if a teacher without knowledge is '
                'really meant',
            )
        self._resize = net.get('resize') or self.net.resize or 'bicubic'
        if self.net.resize not in (None, self._resize):
            raise UserError(
                'teacher.resize',
                f'{self.net.resize!r}, which {self.net.checkpoint} was trained with',
                repr(self._resize),
                'leave it out',
            )
        self.net.requires_grad_(False)
        self.net.eval()
        self._cast()
        self._affine = self._renormalisation(data_mean, data_std)
        self._follows = True

    @property
    def num_classes(self) -> int:
        return self.net.num_classes

    @property
    def renormalises(self) -> bool:
        """Whether its images are normalised by a mean and std of its own, on the scale of 0-255."""
        return self._affine is not None

    @property
    def channels(self) -> int:
        return self.net.input_spec.channels

    @property
    def classes(self) -> Optional[Sequence[str]]:
        return self.net.classes

    @property
    def is_random(self) -> bool:
        return self.net.is_random

    @property
    def stage_specs(self):
        return self.net.stage_specs

    @property
    def embedding_channels(self) -> int:
        return self.net.embedding_channels

    @property
    def mean_channels(self) -> int:
        return self.net.mean_channels

    def check_class_map(self) -> None:
        """See :class:`Teacher`."""
        self.net.check_class_map()

    def describe(self) -> dict:
        """See :class:`Teacher`; any size and the data's normalisation where the net declares none."""
        spec = self.net.input_spec
        return dict(
            net=type(self.net.model).__name__,
            parameters=sum(x.numel() for x in self.net.parameters()),
            file=self.net.checkpoint,
            size=list(spec.size) if spec.size else 'any',
            resize=self._resize,
            normalisation="the data's" if spec.mean is None else [list(spec.mean), list(spec.std)],
        )

    def digest(self) -> str:
        """SHA-256 of the names and values of its weights."""
        digest = hashlib.sha256()
        for name, value in self.net.model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def __call__(
        self,
        inputs,
        index=None,
        stages: bool = False,
        embedding: bool = False,
        logits: bool = True,
        **more: bool,
    ) -> NetOutput:
        asked = dict(stages=stages, embedding=embedding, logits=logits, **more)
        if self._compiles:
            compile_net(self.net, **asked)
            self._compiles = False
        own_precision = contextlib.nullcontext()
        if self._dtype is not None:
            own_precision = torch.autocast(inputs.device.type, enabled=False)
        with torch.inference_mode(), own_precision:
            output = self.net(self.prepare(inputs), **asked)
        # Out of inference mode, so that losses may keep it for their backward pass.
        return NetOutput(
            self._outside(output.logits),
            tuple(self._outside(x) for x in output.stages),
            *(self._outside(x) for x in output[2:]),
        )

    def _outside(self, value: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        if value is None:
            return None
        return value.clone() if self._dtype is None else value.to(torch.float32, copy=True)

    def validate(self, inputs, index=None) -> Optional[torch.Tensor]:
        """See :class:`Teacher`."""
        return self(inputs).logits if self.num_classes else None

    def prepare(self, inputs: torch.Tensor) -> torch.Tensor:
        """The same images as the net was trained to see them: its mean, std and size."""
        size = self.net.input_spec.size
        if size and tuple(inputs.shape[2:]) != size:
            inputs = F.interpolate(inputs, size, mode=self._resize, align_corners=False, antialias=True)
        if self._affine is not None:
            scale, shift = (x.to(inputs.device, inputs.dtype) for x in self._affine)
            inputs = inputs * scale + shift
        if self._dtype is not None:
            inputs = inputs.to(self._dtype)
        return inputs.contiguous(memory_format=torch.channels_last) if self._channels_last else inputs

    def _cast(self) -> None:
        if self._channels_last:
            self.net.to(memory_format=torch.channels_last)
        if self._dtype is not None:
            self.net.to(self._dtype)

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
        """Move the net and its normalisation, except from a copy."""
        if not self._follows:
            return
        self.net._apply(fn)
        self._cast()
        if self._affine is not None:
            self._affine = tuple(fn(x) for x in self._affine)

    def __deepcopy__(self, memo):
        # A copied distiller (EMA, perhaps on another device) shares the net, and must not move it away.
        shared = copy(self)
        shared._follows = False
        return shared
