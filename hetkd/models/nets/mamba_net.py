"""hetkd's own Mambas as teacher or student."""

from functools import cached_property
from typing import Optional, Sequence, Union

import torch

from hetkd.registry import MODELS

from .base import Net, to_size
from .checkpoint import load_but_head, read_weights
from .contract import NetOutput, select_stages


@MODELS.register_module()
class MambaNet(Net):
    """A Vim or a VMamba.

    Args:
        model: its config, e.g. ``dict(type='Vim', arch='small')`` or ``dict(type='VMamba', arch='tiny')``.
        num_classes: number of classes.
        pretrained: path or URL of weights to start from, e.g. the authors' for ImageNet; a head of another
            number of classes keeps its random weights.
        checkpoint: path or URL of a weight file of exactly this net, also one of the authors' (state under
            ``model``); ``'random'`` for meant randomness.
        input_size: image size, an int or (height, width); also given to a Vim as ``img_size``. Default: the
            model's own; a VMamba takes any.
        stage_indices: which blocks (Vim) or stages (VMamba) are the stages. Default: see
            :func:`~hetkd.models.nets.select_stages`.
        mean, std: per RGB channel on the 0-255 scale, of the images the net was trained on. Default: the
            data's.

    Raises:
        ValueError: the config is not of a Vim or VMamba.
    """

    def __init__(
        self,
        model: dict,
        num_classes: int,
        pretrained: Optional[str] = None,
        checkpoint: Optional[str] = None,
        input_size: Union[int, Sequence[int], None] = None,
        stage_indices: Optional[Sequence[int]] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
    ):
        config = dict(model, num_classes=num_classes)
        size = to_size(input_size)
        if config.get('type') == 'Vim' and size:
            config['img_size'] = size
        net = MODELS.build(config)
        if not hasattr(net, 'features') or not hasattr(net, 'classify'):
            raise ValueError(
                f"model: expected a config of type 'Vim' or 'VMamba', got {config.get('type')!r}"
            )
        if pretrained:
            load_but_head(net, read_weights(pretrained).state_dict, pretrained, num_classes)
        super().__init__(
            net,
            num_classes,
            has_weights=bool(pretrained),
            checkpoint=checkpoint,
            mean=mean,
            std=std,
            input_size=size or getattr(net, 'img_size', None),
        )
        self._given_indices = stage_indices

    def forward(self, inputs: torch.Tensor, stages: bool = False, embedding: bool = False) -> NetOutput:
        """See :class:`Net`."""
        maps, vector = self.model.features(inputs, self._indices if stages else ())
        return NetOutput(self.model.classify(vector), tuple(maps), vector if embedding else None)

    @cached_property
    def _indices(self) -> tuple[int, ...]:
        depth = self.model.depth
        if self._given_indices:
            return tuple(index % depth for index in self._given_indices)
        maps = self.probe(lambda image: self.model.features(image, tuple(range(depth)))[0])
        return select_stages([x.shape for x in maps], self.probe_size)
