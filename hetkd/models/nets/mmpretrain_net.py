"""Any mmpretrain classifier as a teacher or student."""

import inspect
from copy import deepcopy
from functools import cached_property
from typing import Optional, Sequence, Union

import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.apis import list_models
from mmpretrain.apis.model import ModelHub

from hetkd.arguments import Natural
from hetkd.errors import UserError
from hetkd.registry import MODELS

from .base import RANDOM, to_size, unknown_model
from .checkpoint import load_but_head, read_weights
from .library_net import LibraryNet
from .mmpretrain_stages import stage_reader


@MODELS.register_module()
class MMPretrainNet(LibraryNet):
    """An mmpretrain classifier by name or config.

    Args:
        model: name in mmpretrain's model zoo, e.g. ``'resnet18_8xb32_in1k'``, or a classifier's config
            (``dict(type='ImageClassifier', backbone=..., neck=..., head=...)``).
        num_classes: number of classes; replaces the head's. 0 for a teacher without a class head: its
            embedding is the output of the neck, or of the backbone, pooled.
        pretrained: True loads the named model's published weights (downloads them), a path or URL those of a
            file. A head of another number of classes keeps its random weights.
        checkpoint: path or URL of a weight file of exactly this net; ``'random'`` for meant randomness.
        input_size: image size, an int or (height, width); also given to a backbone that takes
            ``img_size``. Default: the backbone's own.
        stage_indices: which of the backbone's ``out_indices`` are the stages. Default: see
            :func:`~hetkd.models.nets.select_stages`.
        mean, std: per RGB channel on the 0-255 scale, of the images the net was trained on. Default: what
            the zoo declares where ``pretrained``, else the data's.
        channel_order: of the weights, see :class:`Net`. Default: what the zoo declares where
            ``pretrained=True``. It has to be given for a file of a model that mmpretrain trains on BGR:
            ``'bgr'`` for mmpretrain's own file, ``'rgb'`` for one of hetkd's.

    Raises:
        UserError: mmpretrain has no such model, it is not an image classifier, or the channel order of
            its file is open.
    """

    def __init__(
        self,
        model: Union[str, dict],
        num_classes: Natural,
        pretrained: Union[bool, str] = False,
        input_size: Union[int, Sequence[int], None] = None,
        channel_order: Optional[str] = None,
        **kwargs,
    ):
        size = to_size(input_size)
        cfg, zoo = _model_config(model)
        trained_on = zoo_images(zoo) if zoo else {}
        _set_classes(cfg, num_classes)
        cfg.pop('train_cfg', None)  # batch augmentations are the distiller's, for both nets at once
        backbone_type = MODELS.get(cfg.backbone.type)
        if size and 'img_size' in inspect.signature(backbone_type).parameters:
            cfg.backbone.img_size = size
        net = MODELS.build(cfg)
        file = pretrained if isinstance(pretrained, str) else kwargs.get('checkpoint', RANDOM)
        if channel_order is None:
            channel_order = trained_on.get('channel_order', 'rgb')
            if channel_order == 'bgr' and file not in (None, RANDOM):
                raise UserError(
                    'channel_order',
                    f'the one of {file}, since mmpretrain trains {model!r} on BGR images and hetkd on RGB',
                    'none',
                    "set channel_order='bgr' for mmpretrain's own file, channel_order='rgb' for one of "
                    "hetkd's",
                )
        if pretrained:
            source = file if isinstance(pretrained, str) else _published(zoo)
            load_but_head(net, read_weights(source).state_dict, source, num_classes)
            if kwargs.get('mean') is None and 'mean' in trained_on:
                kwargs.update(mean=trained_on['mean'], std=trained_on['std'])
        super().__init__(
            net,
            num_classes,
            has_weights=bool(pretrained),
            # Swin keeps none, and cannot take maps smaller than its window.
            input_size=size or to_size(getattr(net.backbone, 'img_size', cfg.backbone.get('img_size'))),
            channel_order=channel_order,
            **kwargs,
        )
        self.config = cfg

    def _run(self, inputs, indices):
        maps, features = self._reader(inputs, indices) if indices else ((), self.model.backbone(inputs))
        return maps, self._neck(features)

    def _run_to_map(self, inputs, indices):
        maps, features = self._run(inputs, (*indices, self._reader.depth - 1))
        return maps[:-1], features, maps[-1]

    def _of_cells(self, cells):
        return self._pre_logits(self._neck(self._reader.of_cells(cells)))

    def _neck(self, features):
        return self.model.neck(features) if self.model.with_neck else features

    def _all_maps(self, inputs):
        return self._reader(inputs, range(self._reader.depth))[0]

    def _pre_logits(self, features):
        if self.model.with_head:
            return self._tensor(self.model.head.pre_logits(features))
        last = features[-1] if isinstance(features, (list, tuple)) else features
        return self._tensor(last.mean((2, 3)) if torch.is_tensor(last) and last.dim() == 4 else last)

    def _logits(self, features):
        return self._tensor(self.model.head(features))

    def _head_layer(self):
        head = getattr(self.model, 'head', None)
        return getattr(head, 'fc', None) or getattr(getattr(head, 'layers', None), 'head', None)

    def _tensor(self, output) -> torch.Tensor:
        if not torch.is_tensor(output) or output.dim() != 2:
            has_head = self.model.with_head
            raise UserError(
                type(self.model.head if has_head else self.model.backbone).__name__,
                'logits and embedding as tensors (N, C) and (N, D)',
                tuple(getattr(output, 'shape', ())) or type(output).__name__,
                'heads without one vector an image are not supported, take the net from timm (type="TimmNet")'
                if has_head
                else 'add a neck that pools: neck=dict(type="GlobalAveragePooling")',
            )
        return output

    def _init_random(self) -> None:
        parts = [(name, x) for name, x in self.model.named_modules() if _pretrained(x)]
        before = [[w.clone() for w in _weights(part)] for _, part in parts]
        self.model.init_weights()
        for (name, part), old in zip(parts, before):
            if old and all(map(torch.equal, old, _weights(part))):  # of which mmengine warns alone
                raise UserError(
                    f'{name}.init_cfg',
                    f'a file of a {type(part).__name__}',
                    f'{_pretrained(part)}, of which no weight fits',
                    'name its prefix, or another file; or take pretrained=PATH of the net',
                )

    @cached_property
    def _reader(self):
        return stage_reader(self.model.backbone)


def _model_config(model: Union[str, dict]):
    """The classifier's config, and the zoo's entry where it was named."""
    zoo = None
    if isinstance(model, str):
        known = list_models()
        if model.lower() not in known:
            raise unknown_model('a model in the mmpretrain zoo', model, known)
        zoo = ModelHub.get(model)
        cfg = deepcopy(zoo.config.model)
    else:
        cfg = Config(dict(model=deepcopy(dict(model)))).model
        unread = [key for key in ('train_cfg', 'data_preprocessor') if cfg.get(key)]
        if unread:
            raise UserError(
                'model',
                'a net alone: backbone, neck and head',
                f'{" and ".join(unread)} as well, which would have no effect',
                'set them in the config of the run: model.train_cfg, data_preprocessor',
            )
    if not isinstance(cfg, ConfigDict) or cfg.get('backbone') is None:
        raise UserError(
            'model',
            'an image classifier with a backbone',
            cfg.get('type') if isinstance(cfg, dict) else type(cfg).__name__,
        )
    return cfg, zoo


def zoo_images(zoo) -> dict:
    """``channel_order``, ``mean`` and ``std`` (in RGB) of the images that a zoo model was trained on.

    mmpretrain reads files as BGR, which ``to_rgb`` of the data preprocessor swaps. Its data sets in memory
    (CIFAR: a pipeline that loads no file) give RGB, so ``to_rgb=False`` is RGB there.
    """
    declared = zoo.config.get('data_preprocessor') or {}
    if declared.get('mean') is None:
        return {}
    data = (zoo.config.get('test_dataloader') or {}).get('dataset')
    in_memory = data is not None and not any('Load' in str(step.type) for step in data.pipeline)
    is_rgb = declared.get('to_rgb', False) != in_memory
    step = 1 if is_rgb else -1
    return dict(
        channel_order='rgb' if is_rgb else 'bgr',
        mean=list(declared.mean)[::step],
        std=list(declared.std)[::step],
    )


def _pretrained(part) -> Optional[str]:
    """The file that mmengine would load for a module."""
    init = getattr(part, 'init_cfg', None)
    return init.get('checkpoint') if isinstance(init, dict) and init.get('type') == 'Pretrained' else None


def _weights(part) -> list[torch.Tensor]:
    """Those that are not a constant at first."""
    return [x.detach() for x in part.parameters() if x.ndim > 1]


def _published(zoo) -> str:
    if zoo is None or zoo.weights is None:
        raise UserError(
            'pretrained',
            'a model that mmpretrain publishes weights for',
            'a config' if zoo is None else 'one without',
            'give a file, pretrained=PATH or checkpoint=PATH',
        )
    return zoo.weights


def _set_classes(cfg: ConfigDict, num_classes: int) -> None:
    if not num_classes:
        cfg.pop('head', None)
        return
    head = cfg.get('head')
    if head is None:
        raise UserError(
            'model',
            f'an image classifier with a head, for {num_classes} classes',
            'one without',
            'add a head, or set num_classes=0 for a teacher without one',
        )
    parameters = inspect.signature(MODELS.get(head.type)).parameters
    if 'num_classes' not in parameters:
        raise UserError(
            'head',
            'one that takes num_classes',
            head.type,
            "give the model as a config with another head (type='LinearClsHead'), or take the net "
            "from timm (type='TimmNet')",
        )
    head.num_classes = num_classes
