"""What a cache is compared with: the teacher, data, pipeline and mixing of a run."""

import json
from typing import Optional

from mmengine.dataset import DefaultSampler, InfiniteSampler

from hetkd.datasets.digest import data_digest
from hetkd.engine.batches import ONCE
from hetkd.engine.hooks.training_data import check_places
from hetkd.errors import UserError
from hetkd.models.distillers.configs import preprocessor_config
from hetkd.registry import DATA_SAMPLERS
from hetkd.utils.weight_file import named_digest

# How a net is run does not change its outputs.
RUNNING = ('cache', 'compile', 'channels_last', 'weight')
# Where the data lie and how they are fetched is no part of what they are.
PLACES = ('data_root', 'download', 'lazy_init', 'serialize_data')


def teacher_config(net: dict) -> str:
    """What a teacher is, as text: its config without its file's name and how it is run."""
    kept = {key: value for key, value in net.items() if key not in (*RUNNING, 'checkpoint')}
    return json.dumps(kept, sort_keys=True, default=str)


def weights_name(net: dict) -> Optional[str]:
    """The weight file that a teacher's config names, or None."""
    return next((net[x] for x in ('checkpoint', 'pretrained') if isinstance(net.get(x), str)), None)


def weights_digest(net: dict) -> Optional[str]:
    """SHA-256 of a teacher's weight file, or None where it has none or it is not here."""
    name = weights_name(net)
    return None if name is None else named_digest(name)


def run_facts(cfg, dataset, batch_size: int, processes: int) -> dict:
    """What a run's views depend on, beside the seed: data, pipeline, and the batches if they are mixed."""
    data = _without_places(cfg.train_dataloader.dataset.to_dict())
    text = json.dumps([data, preprocessor_config(cfg), _mixing(cfg)], sort_keys=True, default=str)
    batches = None
    if mixes(cfg):
        options = {key: cfg.train_dataloader.get(key) for key in ('sampler', 'drop_last')}
        batches = dict(batch_size=batch_size, processes=processes, **options)
    return dict(data=data_digest(dataset), pipeline=text, mixing=batches)


def check_draws(cfg, dataset, processes: int) -> None:
    """Refuse training data of which an epoch takes an image twice: a cache has one row for it in a view.

    Raises:
        UserError: a sampler or data sets that repeat images, or that do not keep each image at its place;
            where images are mixed, a sampler whose order a view does not repeat.
    """
    check_places(dataset, 'use the teacher itself')
    config = cfg.train_dataloader.sampler
    if mixes(cfg) and cfg.train_dataloader.get('batch_sampler') is not None:
        config = cfg.train_dataloader.batch_sampler
    sampler = DATA_SAMPLERS.class_of(config)
    if mixes(cfg):
        once = sampler is DefaultSampler and not _mixes_twice(cfg, len(dataset), processes)
    else:
        once = sampler in ONCE or (sampler is InfiniteSampler and processes == 1)
    if not once or any(dataset.get_data_info(i).get('sample_idx') != i for i in range(len(dataset))):
        mixed = ' where images are mixed' if mixes(cfg) else ''
        raise UserError(
            'teacher cache',
            f'each image once in an epoch{mixed}, as each has one row in a view',
            f'{type(dataset).__name__} with {getattr(sampler, "__name__", config.type)}',
            'take the data set itself with DefaultSampler, where images are mixed also drop_last=True or a '
            'number of images that the processes share evenly; or the teacher itself',
        )


def _mixes_twice(cfg, images: int, processes: int) -> bool:
    """Whether the sampler fills the last round with images that are mixed a second time, with others."""
    loader, mine = cfg.train_dataloader, -(-images // processes)
    return images % processes > 0 and not (loader.get('drop_last') and mine % loader.batch_size)


def validation_facts(cfg, dataset) -> dict:
    """The same of the validation images."""
    data = _without_places(cfg.val_dataloader.dataset.to_dict())
    text = json.dumps([data, preprocessor_config(cfg)], sort_keys=True, default=str)
    return dict(data_digest(dataset), pipeline=text)


def mixes(cfg) -> bool:
    """Whether mixup, cutmix or the like join the images of a batch."""
    return any(_mixing(cfg))


def _mixing(cfg) -> list:
    return [cfg.model.get('train_cfg'), preprocessor_config(cfg).get('batch_augments')]


def _without_places(config: dict) -> dict:
    kept = {key: value for key, value in config.items() if key not in PLACES}
    if isinstance(kept.get('dataset'), dict):
        kept['dataset'] = _without_places(kept['dataset'])
    return kept


def difference(before, now) -> str:
    """The first place where two values differ, short enough for a line."""
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k))
        return f'{key}: ' + difference(before.get(key), now.get(key))
    before, now = str(before), str(now)
    same = next((i for i, (a, b) in enumerate(zip(before, now)) if a != b), min(len(before), len(now)))
    begin = max(0, same - 40)
    return f'...{before[begin : same + 60]!r}, now ...{now[begin : same + 60]!r}'
