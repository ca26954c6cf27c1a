"""Configs of a user's own image folder: data, nets and schedule from ``own_images``.

.. code-block:: python

    _base_ = 'hetkd::_base_/own_images'
    own_images = dict(root='my_images', size=96, teacher='vit_small_patch16_224', student='resnet18')
"""

import os
import re
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

from mmengine.config import Config
from pydantic import Field

from hetkd.arguments import Count, check_names, check_value
from hetkd.errors import UserError
from hetkd.utils.launched import launched_processes

from .results import read_record

# The keys of own_images; nets are names in timm, or configs of any net.
KEYS = {
    'root': str,
    'size': Count,
    'teacher': Union[str, dict],
    'student': Union[str, dict],
    'pretrained': bool,
    'min_area': Annotated[float, Field(gt=0, le=1)],
    'flip': bool,
    'trains': Literal['student', 'teacher'],
}

ENDINGS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')

LR_PRETRAINED, LR_RANDOM = 1e-4, 1e-3
WARM_UP = 0.05  # of the run


def fill_own_images(cfg: Config, model_options: Optional[dict] = None) -> None:
    """Replace ``own_images`` by what follows from it; keys that the config sets itself stay.

    Args:
        cfg: a config over ``configs/_base_/own_images.py``.
        model_options: overrides of the nets' keys, ``model.*``, which are merged later.

    Raises:
        UserError: a key is missing, unknown or of another type, the folder has no such images, or its
            teacher has not finished its training.
    """
    own = cfg.pop('own_images')
    check_names(own, set(KEYS), 'own_images')
    for key, kind in KEYS.items():
        if key not in own:
            raise UserError(f'own_images.{key}', 'a value', 'none', f'own_images=dict({key}=..., ...)')
        check_value(own[key], kind, f'own_images.{key}')
    if own['trains'] == 'teacher':
        cfg.model = dict(type='NetClassifier')
        cfg.setdefault('work_dir', _teacher_dir(own))
    nets = _nets(cfg, own)
    seen = Config(dict(model=deepcopy(nets)))
    for known in (dict(model=cfg.to_dict().get('model', {})), model_options or {}):
        seen.merge_from_dict(known)
    _check_teacher(seen.model, own)
    whole = Config(dict(**_data(cfg, own), model=nets, **_schedule(cfg, seen.model.student)))
    whole.merge_from_dict(cfg.to_dict())
    for key, value in whole.items():
        cfg[key] = value


def _data(cfg: Config, own: dict) -> dict[str, Any]:
    size, root = own['size'], own['root']
    random = [
        dict(
            type='RandomResizedCrop', scale=size, crop_ratio_range=(own['min_area'], 1.0), backend='pillow',
            interpolation='bicubic',
        ),
        *([dict(type='RandomFlip', prob=0.5, direction='horizontal')] if own['flip'] else []),
    ]  # fmt: skip
    middle = [
        dict(
            type='ResizeEdge', scale=round(size * 8 / 7), edge='short', backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='CenterCrop', crop_size=size),
    ]  # fmt: skip
    views = dict(train=[dict(type='RandomSeeded', transforms=random)], val=middle)
    train, val = (
        dict(
            dataset=dict(
                type='CustomDataset', data_root=root, data_prefix=part, extensions=ENDINGS,
                pipeline=[dict(type='LoadImage'), *view, dict(type='PackInputs')],
            )
        )
        for part, view in views.items()
    )  # fmt: skip
    images = {part: _images(root, part) for part in views}
    # A batch of one image has no statistics.
    train['drop_last'] = -(-images['train'] // launched_processes()) % _batch(cfg) == 1
    test = {**cfg.val_dataloader.to_dict(), **val}
    return dict(
        data_preprocessor=dict(num_classes=len(_classes(root))),
        train_dataloader=train,
        val_dataloader=val,
        test_dataloader=test,
    )


def _nets(cfg: Config, own: dict) -> dict[str, dict]:
    teacher, student = (_net(own[key], own) for key in ('teacher', 'student'))
    if own['trains'] == 'teacher':
        return dict(student=teacher)
    teacher.pop('pretrained', None)
    found = [x.stem.removeprefix('epoch_') for x in Path(_teacher_dir(own)).glob('epoch_*.pth')]
    last = max((int(x) for x in found if x.isdecimal()), default=cfg.train_cfg.get('max_epochs'))
    return dict(teacher={'checkpoint': f'{_teacher_dir(own)}/epoch_{last}.pth', **teacher}, student=student)


def _net(net: Union[str, dict], own: dict) -> dict:
    if isinstance(net, str):
        net = dict(type='TimmNet', model=net, pretrained=own['pretrained'])
    return {'input_size': own['size'], **net}


def _begins_trained(net: dict) -> bool:
    """Whether the net that is trained begins from weights."""
    return bool(net.get('pretrained')) or net.get('checkpoint') not in (None, 'random')


def _check_teacher(model: dict, own: dict) -> None:
    folder = _teacher_dir(own)
    file = str((model.get('teacher') or {}).get('checkpoint'))
    record = read_record(folder) if file.startswith(f'{folder}/epoch_') else {}
    if not record.get('finished', True):
        raise UserError(
            file,
            'a teacher whose training has ended',
            'one that was stopped before',
            'continue it: --resume --cfg-options own_images.trains=teacher; or name this file by '
            f'--cfg-options model.teacher.checkpoint=./{file}',
        )


def _teacher_dir(own: dict) -> str:
    """The work dir of the teacher's training, which the student's run reads."""
    net = own['teacher']
    name = re.sub(r'[^\w.-]+', '-', net if isinstance(net, str) else str(net.get('model', net.get('type'))))
    folder = re.sub(r'[^\w.-]+', '-', os.path.normpath(own['root']).strip('./'))
    return f'work_dirs/teachers/{name}_{folder}_{own["size"]}px'


def _schedule(cfg: Config, student: dict) -> dict[str, Any]:
    """Warm-up, then a cosine to the last epoch; by epochs, since processes share the steps."""
    epochs = cfg.train_cfg.get('max_epochs')
    check_value(epochs, Count, 'train_cfg.max_epochs')
    warm_up = dict(by_epoch=True, begin=0, end=WARM_UP * epochs, convert_to_iter_based=True)
    return dict(
        optim_wrapper=dict(optimizer=dict(lr=LR_PRETRAINED if _begins_trained(student) else LR_RANDOM)),
        param_scheduler=[
            dict(type='WarmUpLR', start_factor=0.01, **warm_up),
            dict(
                type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=True, begin=0, end=epochs,
                convert_to_iter_based=True,
            ),
        ],
    )  # fmt: skip


def _batch(cfg: Config) -> int:
    size = cfg.train_dataloader.batch_size
    check_value(size, Count, 'train_dataloader.batch_size')
    return size


def _classes(root: str) -> list[str]:
    """The names of the class folders, the same for training and validation."""
    train, val = (
        sorted(x.name for x in _folder(root, part).iterdir() if x.is_dir() and not x.name.startswith('.'))
        for part in ('train', 'val')
    )
    if len(train) < 2:
        raise UserError(
            f'{root}/train', 'at least two folders, one a class', train, 'put each image into train/CLASS'
        )
    if train != val:
        raise UserError(
            f'{root}/val',
            'the class folders of train',
            f'{sorted({*val} - {*train})} in val alone, {sorted({*train} - {*val})} in train alone',
            'rename them; a class without images there has an empty folder',
        )
    return train


def _images(root: str, part: str) -> int:
    folders = (files for _, _, files in os.walk(_folder(root, part), followlinks=True))
    count = sum(x.lower().endswith(ENDINGS) and not x.startswith('.') for files in folders for x in files)
    if not count:
        raise UserError(f'{root}/{part}', f'images {", ".join(ENDINGS)}', 'none', 'convert others to PNG')
    return count


def _folder(root: str, part: str) -> Path:
    folder = Path(root) / part
    if not folder.is_dir():
        raise UserError(
            'own_images.root', 'a folder with train/CLASS and val/CLASS', f'no folder {folder.absolute()}'
        )
    return folder
