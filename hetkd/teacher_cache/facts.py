"""What a cache is compared with: the teacher, data, pipeline and mixing of a run."""

import json
from pathlib import Path
from typing import Optional

from hetkd.datasets.digest import data_digest
from hetkd.utils.digest import file_digest

# How a net is run does not change its outputs.
RUNNING = ('compile', 'channels_last', 'weight')
# Where the data lie and how they are fetched is no part of what they are.
PLACES = ('data_root', 'download', 'lazy_init', 'serialize_data')


def teacher_config(net: dict) -> str:
    """What a teacher is, as text: its config without its file's name and how it is run."""
    kept = {key: value for key, value in net.items() if key not in (*RUNNING, 'checkpoint')}
    return json.dumps(kept, sort_keys=True, default=str)


def weights_digest(net: dict) -> Optional[str]:
    """SHA-256 of a teacher's weight file, or None where it is not here."""
    path = Path(str(net.get('checkpoint')))
    return file_digest(path) if path.is_file() else None


def run_facts(cfg, dataset, batch_size: int, processes: int) -> dict:
    """What a run's views depend on, beside the seed: data, pipeline, and the batches if they are mixed."""
    data = _without_places(cfg.train_dataloader.dataset.to_dict())
    text = json.dumps([data, _preprocessor(cfg), _mixing(cfg)], sort_keys=True, default=str)
    batches = dict(batch_size=batch_size, processes=processes) if mixes(cfg) else None
    return dict(data=data_digest(dataset), pipeline=text, mixing=batches)


def validation_facts(cfg, dataset) -> dict:
    """The same of the validation images."""
    data = _without_places(cfg.val_dataloader.dataset.to_dict())
    text = json.dumps([data, _preprocessor(cfg)], sort_keys=True, default=str)
    return dict(data_digest(dataset), pipeline=text)


def mixes(cfg) -> bool:
    """Whether mixup, cutmix or the like join the images of a batch."""
    return any(_mixing(cfg))


def _mixing(cfg) -> list:
    return [cfg.model.get('train_cfg'), _preprocessor(cfg).get('batch_augments')]


def _preprocessor(cfg) -> dict:
    return {**(cfg.get('data_preprocessor') or {}), **(cfg.model.get('data_preprocessor') or {})}


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
