"""The interface of teachers, online or cached."""

from abc import ABC, abstractmethod
from typing import Optional, Sequence

import torch

from hetkd.arguments import Weight
from hetkd.errors import UserError
from hetkd.functional.checks import check_weights
from hetkd.models.nets.contract import NetOutput, StageSpec


class Teacher(ABC):
    """What a distiller and the hooks ask of a teacher.

    It is no ``nn.Module`` on purpose: a distiller that holds one does not see it in ``parameters()``,
    ``state_dict()``, ``train()`` or ``init_weights()``. So it is never in the optimizer, DDP's buckets or a
    checkpoint, never re-initialised, and stays in eval mode. Copies of the distiller (EMA) share it.

    Args:
        weight: of its distillation losses among several teachers.

    Attributes:
        views: how many views of each image it knows; None for one that takes any image.
        is_random: whether it knows nothing, as its config says.
    """

    views: Optional[int] = None
    is_random: bool = False

    def __init__(self, weight: Weight = 1.0):
        check_weights(weight=weight)
        self.weight = weight

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of its logits; 0 without a class head."""

    @property
    def replay(self) -> dict:
        """What its views depend on beside the image, which a resumed run must have again."""
        return {}

    @property
    def channels(self) -> Optional[int]:
        """Of the images that it takes; None for one that takes no image."""
        return None

    @property
    @abstractmethod
    def classes(self) -> Optional[Sequence[str]]:
        """Names of the classes it was trained on, if its file records them."""

    @property
    @abstractmethod
    def stage_specs(self) -> tuple[StageSpec, ...]:
        """Its stages.

        Raises:
            UserError: it gives none.
        """

    @property
    @abstractmethod
    def embedding_channels(self) -> int:
        """Width of its embedding."""

    @property
    def mean_channels(self) -> int:
        """Width of the mean over its last map.

        Raises:
            UserError: it gives none.
        """
        raise UserError(
            type(self).__name__,
            'a method on logits or embeddings',
            'one that reads the last map',
            'use the teacher itself',
        )

    def check_class_map(self) -> None:
        """Refuse a teacher that gives no class maps.

        Raises:
            UserError: it gives none.
        """
        _ = self.mean_channels

    @abstractmethod
    def describe(self) -> dict:
        """Net, number of parameters, file, size and normalisation, as plain values."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of its weights: which file it was, whatever its name."""

    @abstractmethod
    def __call__(
        self,
        inputs: torch.Tensor,
        index=None,
        stages: bool = False,
        embedding: bool = False,
        logits: bool = True,
        **more: bool,
    ) -> NetOutput:
        """Its outputs on a batch of training images, without gradient.

        Args:
            inputs: images (N, 3, H, W), normalised for the student, at the student's size.
            index: their places in the training set (N,), for a teacher with ``views``.
            stages, embedding, logits: what to give, where it has it.
            **more: further parts of :class:`~hetkd.models.nets.NetOutput`, by name.
        """

    @abstractmethod
    def validate(self, inputs: torch.Tensor, index=None) -> Optional[torch.Tensor]:
        """Logits (N, C) of validation images, or None where it has none of them."""

    def apply_(self, fn) -> None:  # noqa: B027 (a teacher without tensors has nothing to move)
        """Follow the distiller's device and dtype (``nn.Module._apply``)."""

    def __deepcopy__(self, memo):
        return self
