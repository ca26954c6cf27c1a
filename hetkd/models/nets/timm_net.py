"""Any timm model as a teacher or student."""

from functools import cached_property
from typing import Optional, Sequence, Union

import timm
import torch

from hetkd.arguments import Natural
from hetkd.errors import UserError
from hetkd.registry import MODELS

from .base import to_size, unknown_model
from .checkpoint import load_but_head, read_weights
from .contract import token_grid
from .hub import PREFIX, WEIGHTS, check_hub, hub_error
from .library_net import LibraryNet


@MODELS.register_module()
class TimmNet(LibraryNet):
    """A timm model by name.

    Args:
        model: name in timm, e.g. ``'deit_tiny_patch16_224'``, also with a tag (``'.fb_in1k'``), or
            ``'hf-hub:OWNER/NAME'`` for a timm model on the Hugging Face hub.
        num_classes: number of classes; 0 for a teacher without a class head.
        pretrained: True loads timm's weights for the name (downloads them), a path or URL those of a file. A
            head of another number of classes keeps its random weights.
        checkpoint: path or URL of a weight file of exactly this net; ``'random'`` for meant randomness.
        input_size: image size, an int or (height, width). Default: the model's own where its weights are
            tied to one or ``pretrained``, else any size.
        stage_indices: which of the model's ``forward_intermediates`` are the stages. Default: see
            :func:`~hetkd.models.nets.select_stages`.
        mean, std: per RGB channel on the 0-255 scale, of the images the net was trained on. Default: what
            timm declares where ``pretrained``, else the data's.
        model_kwargs: further arguments of ``timm.create_model``, e.g. ``dict(patch_size=4)`` or
            ``dict(in_chans=1)``.

    Raises:
        UserError: timm has no such model (the message lists the nearest names), or the hub cannot be reached.
    """

    def __init__(
        self,
        model: str,
        num_classes: Natural,
        pretrained: Union[bool, str] = False,
        input_size: Union[int, Sequence[int], None] = None,
        model_kwargs: Optional[dict] = None,
        **kwargs,
    ):
        options = dict(model_kwargs or {})
        size = to_size(input_size or options.get('img_size'))
        channels = options.get('in_chans', 3)
        if not model.startswith(PREFIX) and not timm.is_model(model):
            raise unknown_model('a timm model', model, timm.list_models())
        repo, files = _on_hub(model, pretrained is True)
        if repo:
            check_hub(repo, files)
        try:
            net = _create(model, size, dict(options, pretrained=pretrained is True, num_classes=num_classes))
        except OSError as error:  # also an HTTP error
            raise hub_error(repo or model, error) from error
        declared = net.pretrained_cfg or {}
        head = declared.get('classifier') or ()
        heads = (head,) if isinstance(head, str) else head
        if isinstance(pretrained, str):
            load_but_head(net, read_weights(pretrained).state_dict, pretrained, num_classes, heads)
        if pretrained and kwargs.get('mean') is None and channels == 3:
            kwargs.update({key: [255 * x for x in declared[key]] for key in ('mean', 'std')})
        if size is None and (pretrained or _is_of_one_size(declared)):
            size = to_size(declared['input_size'][-2:])
        super().__init__(
            net,
            num_classes,
            has_weights=bool(pretrained),
            input_size=size,
            channels=channels,
            heads=heads,
            **kwargs,
        )
        self._name = model

    def _run(self, inputs, indices):
        if not indices:
            return (), self.model.forward_features(inputs)
        final, maps = self._intermediates(inputs, list(indices))
        if self._ends_with_the_heads_map:
            maps[-1] = final
        return maps, final

    def _run_to_map(self, inputs, indices):
        maps, features = self._run(inputs, indices)
        if self._layout == 'NLC':
            tokens = features[:, self._prefix :].mT
            return maps, features, tokens.unflatten(2, token_grid(tokens.shape[2], inputs))
        return maps, features, features.permute(0, 3, 1, 2) if self._layout == 'NHWC' else features

    def _of_cells(self, cells):
        if self._layout == 'NLC':  # a cell also stands for the prefix tokens
            return self._pre_logits(cells[:, None].expand(-1, self._prefix + 1, -1))
        return self._pre_logits(cells[:, None, None] if self._layout == 'NHWC' else cells[..., None, None])

    @cached_property
    def _layout(self) -> str:
        """Axes of what the head takes."""
        features = self.probe(self.model.forward_features)
        if not torch.is_tensor(features) or features.dim() not in (3, 4):
            raise UserError(
                self._name,
                'a model whose head takes one map, or tokens',
                tuple(getattr(features, 'shape', ())) or type(features).__name__,
                'use a method that reads logits, stages or embeddings, or another model',
            )
        return 'NLC' if features.dim() == 3 else str(getattr(self.model, 'output_fmt', 'NCHW'))

    @property
    def _prefix(self) -> int:
        return getattr(self.model, 'num_prefix_tokens', 0)

    def _all_maps(self, inputs):
        if not hasattr(self.model, 'forward_intermediates'):
            raise UserError(
                self._name,
                'a model that gives stages',
                'one without forward_intermediates',
                'use a method on logits or embeddings, or another model',
            )
        return self._intermediates(inputs)[1]

    def _pre_logits(self, features):
        return self.model.forward_head(features, pre_logits=True)

    def _logits(self, features):
        return self.model.forward_head(features)

    def _head_layer(self):
        return self.model.get_classifier()

    def _intermediates(self, inputs, indices=None):
        return self.model.forward_intermediates(inputs, indices=indices, output_fmt='NCHW')

    @cached_property
    def _ends_with_the_heads_map(self) -> bool:
        """Whether the head's own map is the last stage.

        MobileNetV2 and its kin widen the last map by a convolution before pooling; that wide map is
        what the head sees, and so the last stage.
        """
        final, maps = self.probe(self._intermediates)
        own_map = torch.is_tensor(final) and final.dim() == 4
        deepest = self._indices[-1] % len(maps) == len(maps) - 1
        return own_map and deepest and final.shape[1] == self.model.num_features != maps[-1].shape[1]


def _on_hub(name: str, pretrained: bool) -> tuple[Optional[str], tuple[str, ...]]:
    """The repository that a model is read from, or None, and the files of which it needs one."""
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX), WEIGHTS if pretrained else ('config.json',)
    declared = timm.get_pretrained_cfg(name) if pretrained else None
    if declared is None or not declared.hf_hub_id:
        return None, ()
    return declared.hf_hub_id, (declared.hf_hub_filename,) if declared.hf_hub_filename else WEIGHTS


def _create(name: str, size: Optional[tuple[int, int]], options: dict):
    """The timm model, built for a size where its constructor takes one."""
    if size is None:
        return timm.create_model(name, **options)
    # For the families that read it from there.
    options['pretrained_cfg_overlay'] = {'input_size': (options.get('in_chans', 3), *size)}
    try:
        return timm.create_model(name, **{'img_size': size, **options})
    except TypeError as error:  # raised as its arguments are bound, before anything is drawn
        if 'img_size' not in str(error):
            raise
        return timm.create_model(name, **options)


def _is_of_one_size(declared: dict) -> bool:
    """Whether timm declares that a model takes one size, or none as small as 224."""
    smallest = declared.get('min_input_size') or (0, 0, 0)
    return bool(declared.get('fixed_input_size')) or smallest[-1] > 224
