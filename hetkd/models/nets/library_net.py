"""A library's classifier run in parts: its features with the stages on the way, then its head."""

from abc import abstractmethod
from functools import cached_property
from typing import Any, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from hetkd.arguments import Natural
from hetkd.errors import UserError

from .base import Net
from .contract import NetOutput, select_stages

# Parts of the names of layers that may come between the last map and the last linear layer, for class maps.
BETWEEN = ('Norm', 'Pool', 'Dropout', 'Identity', 'Flatten')


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
        given = stage_indices
        if given is not None:
            signs = {index < 0 for index in given}
            if not given or (len(signs) == 1 and list(given) != sorted(set(given))):
                raise UserError('stage_indices', 'some, from shallow to deep', list(given))
        self._given_indices = given

    def forward(
        self,
        inputs: torch.Tensor,
        stages: bool = False,
        embedding: bool = False,
        logits: bool = True,
        mean: bool = False,
        class_map: bool = False,
    ) -> NetOutput:
        """See :class:`Net`; also the mean over the last map and the class maps."""
        indices, last = self._indices if stages else (), None
        if mean or class_map:
            maps, features, last = self._run_to_map(inputs, indices)
        else:
            maps, features = self._run(inputs, indices)
        before = self._pre_logits(features) if embedding else None
        if not (logits and self.num_classes):
            scores = None
        elif embedding and self._last_layer is not None:
            scores = self._last_layer(before)
        else:
            scores = self._logits(features)
        return NetOutput(
            scores,
            tuple(maps),
            before,
            last.mean((2, 3)) if mean else None,
            self._class_map(last) if class_map else None,
        )

    @cached_property
    def mean_channels(self) -> int:
        """See :class:`Net`; measured by one forward on a black image."""
        return self.probe(lambda image: self(image, mean=True)).mean.shape[1]

    def check_class_map(self) -> None:
        """See :class:`Net`; the last layer is linear, and only norms may come between it and the last map."""
        layer, ran = self._last_layer, []
        if isinstance(layer, nn.Linear):
            handles = [
                module.register_forward_hook(lambda module, *_: ran.append(type(module).__name__))
                for module in self.model.modules()
                if not any(module.children())
            ]

            def run(image):
                last = self._run_to_map(image, ())[2]
                ran.clear()
                return self._of_cells(last[..., 0, 0])

            try:
                self.probe(run)
            finally:
                for handle in handles:
                    handle.remove()
            other = [name for name in ran if 'BatchNorm' in name or not any(x in name for x in BETWEEN)]
            if not other:
                return
            got = f'{", ".join(other)} in between'
        else:
            got = 'another last layer' if layer is None else type(layer).__name__
        raise UserError(
            type(self.model).__name__,
            'a head that pools, normalises at most, and ends with one linear layer, for class maps',
            got,
            'use another net, or a method that reads no class maps',
        )

    def _class_map(self, last: torch.Tensor) -> torch.Tensor:
        cells = self._of_cells(last.flatten(2).mT.flatten(0, 1))
        scores = F.linear(cells, self._last_layer.weight)
        return scores.unflatten(0, (len(last), -1)).mT.unflatten(2, last.shape[2:])

    @abstractmethod
    def _run(self, inputs: torch.Tensor, indices: Sequence[int]) -> tuple[Sequence[torch.Tensor], Any]:
        """The maps (N, C, H, W) of these indices, and what the head takes."""

    @abstractmethod
    def _run_to_map(self, inputs: torch.Tensor, indices: Sequence[int]):
        """The same, and the last map (N, D, H, W), which the head pools, without prefix tokens."""

    @abstractmethod
    def _of_cells(self, cells: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, D') of images whose last map has one cell (n, D)."""

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
        if self._given_indices is not None:
            return tuple(self._given_indices)
        return select_stages([x.shape for x in self.probe(self._all_maps)], self.probe_size)
