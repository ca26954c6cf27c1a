"""The base of all teacher and student nets."""

import math
from abc import ABC, abstractmethod
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from typing import Optional, Sequence, Union

import torch
from torch import nn

from hetkd.arguments import Natural
from hetkd.errors import UserError

from .checkpoint import load_but_head, load_strict, read_weights
from .contract import InputSpec, NetOutput, StageSpec

RANDOM = 'random'
ORDERS = ('rgb', 'bgr')


def to_size(size: Union[int, Sequence[int], None]) -> Optional[tuple[int, int]]:
    """An image size as (height, width)."""
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def first_convolution(model: nn.Module) -> Optional[nn.Module]:
    """The convolution that sees the image, or None for a net without one."""
    return next((x for x in model.modules() if isinstance(x, (nn.Conv2d, nn.Conv3d))), None)


@torch.no_grad()
def take_rgb(model: nn.Module) -> None:
    """Swap the channels of a net for BGR images in its first convolution: it then takes RGB."""
    weight = first_convolution(model).weight
    weight.copy_(weight.flip(1))


def unknown_model(kind: str, name: str, known: Sequence[str]) -> UserError:
    """The error for a model name that its library does not know."""
    close = get_close_matches(name.split('.')[0], known, n=4)
    return UserError('model', f'the name of {kind}', repr(name), f'did you mean one of {close}?')


class Net(nn.Module, ABC):
    """A classifier as teacher or student: images to :class:`NetOutput`.

    A subclass builds ``self.model``, the plain net of its library, whose ``state_dict`` is what an
    exported student holds, and says how to run it.

    Args:
        model: the plain net.
        num_classes: C, the number of its logits; 0 for a net without a class head.
        has_weights: whether it came with pretrained weights.
        checkpoint: path or URL of a weight file, loaded strictly and with ``weights_only=True``;
            ``'random'`` says that random weights are meant (tests, benchmarks).
        mean, std, input_size, channels: the images the net was made for; see :class:`InputSpec`. Default
            of ``channels``: those of its first convolution.
        channel_order: ``'bgr'`` for pretrained weights or a file of a net that was trained on BGR images, as
            some of mmpretrain's. They are converted as they are loaded: the net takes RGB, as all do.
        heads: names of the class head's modules. A net without one takes all but those of the file.

    Raises:
        UserError: the file does not fit, only one of mean and std is given, or not one for each channel.

    Attributes:
        classes: the class names that its checkpoint was trained on, if the file records them.
        resize: the filter that its images were resized with, likewise.
        has_weights: False while the weights are random and nobody said that this is meant.
        checkpoint: the weight file that was named, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: Natural,
        has_weights: bool = False,
        checkpoint: Optional[str] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        input_size: Union[int, Sequence[int], None] = None,
        channels: Optional[int] = None,
        channel_order: str = 'rgb',
        heads: Sequence[str] = ('head',),
    ):
        super().__init__()
        self.model = model
        self.num_classes = num_classes
        if channels is None:
            channels = getattr(first_convolution(model), 'in_channels', 3)
        if channel_order not in ORDERS or (channel_order == 'bgr' and channels != 3):
            raise UserError(
                'channel_order',
                "'rgb', or 'bgr' for a net of three channels",
                f'{channel_order!r} for {channels}',
            )
        if (mean is None) != (std is None):
            raise UserError('input', 'mean and std together', f'mean={mean} and std={std}')
        if mean is not None and not len(mean) == len(std) == channels:
            raise UserError(
                'input', f'mean and std for each of {channels} channels', f'{len(mean)} and {len(std)} values'
            )
        self.input_spec = InputSpec(mean and tuple(mean), std and tuple(std), to_size(input_size), channels)
        self.classes: Optional[Sequence[str]] = None
        self.resize: Optional[str] = None
        self.has_weights = has_weights or checkpoint is not None
        self._loaded = has_weights
        self._random_state = torch.get_rng_state()
        self.checkpoint = checkpoint
        if checkpoint not in (None, RANDOM):
            weights = read_weights(checkpoint)
            self.resize = weights.resize
            if num_classes:
                load_strict(model, weights.state_dict, checkpoint, num_classes)
                self.classes = weights.classes
            else:
                load_but_head(model, weights.state_dict, checkpoint, num_classes, heads)
            self._loaded = True
        if self._loaded and channel_order == 'bgr':
            take_rgb(model)

    @property
    def is_random(self) -> bool:
        """Whether nothing has been loaded."""
        return not self._loaded

    @abstractmethod
    def forward(
        self, inputs: torch.Tensor, stages: bool = False, embedding: bool = False, logits: bool = True
    ) -> NetOutput:
        """Run the net.

        Args:
            inputs: normalised images (N, channels, H, W).
            stages: whether to give the stage maps; a net does no work for them otherwise.
            embedding: whether to give the embedding.
            logits: whether to give the logits, where it has a class head.
        """

    @cached_property
    def stage_specs(self) -> tuple[StageSpec, ...]:
        """The stages, found by one forward on a black image at the net's size.

        Raises:
            UserError: a net that gives none.
        """
        stages = self.probe(lambda image: self(image, stages=True)).stages
        strides = _strides(self.probe_size[0], [x.shape[2] for x in stages])
        return tuple(StageSpec(x.shape[1], stride) for x, stride in zip(stages, strides))

    @cached_property
    def embedding_channels(self) -> int:
        """Width of the embedding, found in the same way; also of a net without stages."""
        return self.probe(lambda image: self(image, embedding=True)).embedding.shape[1]

    @property
    def mean_channels(self) -> int:
        """Width of the mean over the last map.

        Raises:
            UserError: the net gives none.
        """
        raise UserError(
            type(self).__name__,
            'a net that gives its last map',
            'one without',
            'use a net of mmpretrain or timm, a Mamba, or a method on logits or embeddings',
        )

    def check_class_map(self) -> None:
        """Refuse a net that gives no class maps.

        Raises:
            UserError: it gives none.
        """
        _ = self.mean_channels

    @property
    def probe_size(self) -> tuple[int, int]:
        """Image size of probes: the net's own, or 224."""
        return self.input_spec.size or (224, 224)

    def probe(self, run):
        """``run(image)`` in eval mode without gradient; leaves modes, buffers and random state alone."""
        modes = [(module, module.training) for module in self.modules()]
        like = next(self.parameters())
        self.eval()
        try:
            with torch.no_grad():
                image = torch.zeros(1, self.input_spec.channels, *self.probe_size)
                return run(image.to(like))
        except AttributeError as error:
            # From inside a property it would surface as "no attribute" of this net.
            raise UserError(type(self.model).__name__, 'a net that gives stages', error) from error
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError) as error:
            size = 'x'.join(map(str, self.probe_size))
            raise UserError(
                type(self.model).__name__,
                'images of a size that it takes',
                f'{size} px ({type(error).__name__}: {error})',
                'set input_size to the size that its library documents',
            ) from error
        finally:
            for module, training in modes:
                module.training = training

    def init_weights(self) -> None:
        """Called by the runner. Loaded weights stay as they are.

        Random ones are drawn as right after the net was built. Connectors that were built since then have
        drawn as well, and a seed gives the same student with any method.
        """
        if not self._loaded:
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(self._random_state)
                self._init_random()

    def _init_random(self) -> None:
        """Initialise from scratch, where construction has not done so."""


def _strides(side: int, grids: Sequence[int]) -> list[int]:
    """Strides of stages whose grids have so many cells a side, of an image of ``side`` pixels.

    From stage to stage by halvings: at 40 px grids of 10, 5, 3 and 2 have strides 4, 8, 16 and 32.
    """
    strides = [round(side / grids[0])]
    for before, after in pairwise(grids):
        strides.append(strides[-1] * 2 ** round(math.log2(before / after)))
    return strides
