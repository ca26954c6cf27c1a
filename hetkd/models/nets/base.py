"""The base of all teacher and student nets."""

from abc import ABC, abstractmethod
from difflib import get_close_matches
from functools import cached_property
from typing import Optional, Sequence, Union

import torch
from torch import nn

from .checkpoint import load_strict, read_weights
from .contract import InputSpec, NetOutput, StageSpec

RANDOM = 'random'


def to_size(size: Union[int, Sequence[int], None]) -> Optional[tuple[int, int]]:
    """An image size as (height, width)."""
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def unknown_model(kind: str, name: str, known: Sequence[str]) -> ValueError:
    """The error for a model name that its library does not know."""
    close = get_close_matches(name.split('.')[0], known, n=4)
    return ValueError(f'model: expected the name of {kind}, got {name!r}; did you mean one of {close}?')


class Net(nn.Module, ABC):
    """A classifier as teacher or student: images to :class:`NetOutput`.

    A subclass builds ``self.model``, the plain net of its library, whose ``state_dict`` is what an
    exported student holds, and says how to run it.

    Args:
        model: the plain net.
        num_classes: C, the number of its logits.
        has_weights: whether it came with pretrained weights.
        checkpoint: path or URL of a weight file, loaded strictly and with ``weights_only=True``;
            ``'random'`` says that random weights are meant (tests, benchmarks).
        mean, std, input_size: the images the net was made for; see :class:`InputSpec`.

    Raises:
        ValueError: the file does not fit, or only one of mean and std is given.

    Attributes:
        classes: the class names that its checkpoint was trained on, if the file records them.
        has_weights: False while the weights are random and nobody said that this is meant.
        checkpoint: the weight file that was named, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        has_weights: bool = False,
        checkpoint: Optional[str] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        input_size: Union[int, Sequence[int], None] = None,
    ):
        super().__init__()
        self.model = model
        self.num_classes = num_classes
        if (mean is None) != (std is None):
            raise ValueError(f'input: expected mean and std together, got mean={mean} and std={std}')
        self.input_spec = InputSpec(mean and tuple(mean), std and tuple(std), to_size(input_size))
        self.classes: Optional[Sequence[str]] = None
        self.has_weights = has_weights or checkpoint is not None
        self._loaded = has_weights
        self.checkpoint = checkpoint
        if checkpoint not in (None, RANDOM):
            weights = read_weights(checkpoint)
            load_strict(model, weights.state_dict, checkpoint, num_classes)
            self.classes = weights.classes
            self._loaded = True

    @property
    def is_random(self) -> bool:
        """Whether nothing has been loaded."""
        return not self._loaded

    @abstractmethod
    def forward(self, inputs: torch.Tensor, stages: bool = False, embedding: bool = False) -> NetOutput:
        """Run the net.

        Args:
            inputs: normalised images (N, 3, H, W).
            stages: whether to give the stage maps; a net does no work for them otherwise.
            embedding: whether to give the embedding.
        """

    @cached_property
    def stage_specs(self) -> tuple[StageSpec, ...]:
        """The stages, found by one forward on a black image at the net's size.

        Raises:
            ValueError: a net that gives none.
        """
        size = self.probe_size
        stages = self.probe(lambda image: self(image, stages=True)).stages
        return tuple(StageSpec(x.shape[1], round(size[0] / x.shape[2]), tuple(x.shape[2:])) for x in stages)

    @cached_property
    def embedding_channels(self) -> int:
        """Width of the embedding, found in the same way; also of a net without stages."""
        return self.probe(lambda image: self(image, embedding=True)).embedding.shape[1]

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
                return run(torch.zeros(1, 3, *self.probe_size, device=like.device, dtype=like.dtype))
        except AttributeError as error:
            # From inside a property it would surface as "no attribute" of this net.
            raise RuntimeError(f'{type(self.model).__name__} gives no stages: {error}') from error
        finally:
            for module, training in modes:
                module.training = training

    def init_weights(self) -> None:
        """Called by the runner. Loaded weights stay as they are."""
        if not self._loaded:
            self._init_random()

    def _init_random(self) -> None:
        """Initialise from scratch, where construction has not done so."""
