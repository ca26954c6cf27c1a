"""hetkd's own Mambas as teacher or student."""

import inspect
from typing import Literal, Sequence, Union

from hetkd.arguments import Count
from hetkd.errors import UserError
from hetkd.registry import MODELS

from .base import to_size
from .checkpoint import load_but_head, read_weights
from .library_net import LibraryNet


@MODELS.register_module()
class MambaNet(LibraryNet):
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
        UserError: the config is not of a Vim or VMamba.
    """

    def __init__(
        self,
        model: dict,
        num_classes: Count,
        pretrained: Union[str, Literal[False], None] = None,
        input_size: Union[int, Sequence[int], None] = None,
        **kwargs,
    ):
        config = dict(model, num_classes=num_classes)
        size = to_size(input_size)
        kind = MODELS.class_of(config)
        if size and kind and 'img_size' in inspect.signature(kind).parameters:
            config['img_size'] = size
        net = MODELS.build(config)
        if not hasattr(net, 'features') or not hasattr(net, 'classify'):
            raise UserError('model', "a config of type 'Vim' or 'VMamba'", repr(config.get('type')))
        if pretrained:
            load_but_head(net, read_weights(pretrained).state_dict, pretrained, num_classes)
        super().__init__(
            net,
            num_classes,
            has_weights=bool(pretrained),
            input_size=size or getattr(net, 'img_size', None),
            **kwargs,
        )

    def _run(self, inputs, indices):
        return self.model.features(inputs, [index % self.model.depth for index in indices])

    def _run_to_map(self, inputs, indices):
        return self.model.features(inputs, [index % self.model.depth for index in indices], last=True)

    def _of_cells(self, cells):
        return cells

    def _all_maps(self, inputs):
        return self.model.features(inputs, range(self.model.depth))[0]

    def _pre_logits(self, features):
        return features

    def _head_layer(self):
        return getattr(self.model, 'head', None) or self.model.classifier['head']

    def _logits(self, features):
        return self.model.classify(features)
