"""A library's classifier run in parts: its features with the stages on the way, then its head."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, Optional, Sequence

import torch
from torch import nn

from hetkd.arguments import Natural

from .base import Net
from .contract import NetOutput, select_stages


class LibraryNet(Net):
    """The base of the adapters. A subclass says how its library runs a net's parts.

    Args:
        model, num_classes, **kwargs: see :class:`Net`.
        stage_indices: which of the maps that the net can give are the stages. Default: see
            :func:`~hetkd.models.nets.select_stages`.
    """

    def __init__(
        self, model: nn.Module, num_classes: Natural, stage_indices: Optional[Sequence[int]] = None, **kwargs
    ):
        super().__init__(model, num_classes, **kwargs)
        self._given_indices = stage_indices

    def forward(
        self, inputs: torch.Tensor, stages: bool = False, embedding: bool = False, logits: bool = True
    ) -> NetOutput:
        """See :class:`Net`."""
        maps, features = self._run(inputs, self._indices if stages else ())
        before = self._pre_logits(features) if embedding else None
        if not (logits and self.num_classes):
            scores = None
        elif embedding and self._last_layer is not None:
            scores = self._last_layer(before)
        else:
            scores = self._logits(features)
        return NetOutput(scores, tuple(maps), before)

    @abstractmethod
    def _run(self, inputs: torch.Tensor, indices: Sequence[int]) -> tuple[Sequence[torch.Tensor], Any]:
        """The maps (N, C, H, W) of these indices, and what the head takes."""

    @abstractmethod
    def _all_maps(self, inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Every map that may be a stage, shallow to deep.

        Raises:
            UserError: the net gives none.
        """

    @abstractmethod
    def _pre_logits(self, features: Any) -> torch.Tensor:
        """The embedding (N, D)."""

    @abstractmethod
    def _logits(self, features: Any) -> torch.Tensor:
        """The whole head, (N, C)."""

    def _head_layer(self) -> Optional[nn.Module]:
        """A layer of the head that may be the last."""
        return None

    @cached_property
    def _last_layer(self) -> Optional[nn.Module]:
        """The layer that makes logits of the embedding, if it is one; so the head runs once, not twice."""
        last = self._head_layer()

        def fits(image):
            # Noise: on a black image a head that also normalises may give the same.
            noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
            features, seen = self._run(noise.to(image), ())[1], []
            before = self._pre_logits(features)
            handle = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
            try:
                logits = self._logits(features)
                return len(seen) == 1 and seen[0].equal(before) and last(before).equal(logits)
            except (RuntimeError, IndexError, NotImplementedError):  # a 1x1 convolution, a whole head, a list
                return False
            finally:
                handle.remove()

        return last if isinstance(last, nn.Module) and self.probe(fits) else None

    @cached_property
    def _indices(self) -> tuple[int, ...]:
        if self._given_indices:
            return tuple(self._given_indices)
        return select_stages([x.shape for x in self.probe(self._all_maps)], self.probe_size)
