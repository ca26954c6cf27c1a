"""A teacher that was written down beforehand."""

import json
from pathlib import Path
from typing import Optional

import torch

from hetkd.models.nets.base import RANDOM
from hetkd.models.nets.contract import NetOutput
from hetkd.registry import MODELS
from hetkd.teacher_cache import TeacherCache
from hetkd.utils.digest import file_digest

from .teacher import OWN_KEYS, FrozenTeacher

# How a net is run, not what it says.
RUNNING = ('compile', 'channels_last', 'weight')


@MODELS.register_module()
class CachedTeacher:
    """A teacher's logits (and embeddings) out of a :class:`~hetkd.teacher_cache.TeacherCache`.

    No net is in memory. The cache holds V views of each image; epoch e trains on view e mod V, which
    ``ReplayHook`` has the data pipeline repeat: crops, flips, and partners of mixup and cutmix.

    Args:
        cache: folder written by ``tools/cache_teacher.py``.
        net: config of the teacher that the cache is of, as it would stand in place of this one.
        weight: of the distillation losses among several teachers.

    Raises:
        FileNotFoundError: there is no cache.
        ValueError: it is of another teacher.
    """

    is_random = False

    def __init__(self, cache: str, net: dict, weight: float = 1.0):
        self.cache, self.weight = TeacherCache(cache), weight
        self.view: Optional[int] = None
        self._validates = True
        self._check_teacher(net)

    @property
    def views(self) -> int:
        """V."""
        return self.cache.views

    @property
    def num_classes(self) -> int:
        """Number of logits."""
        return self.cache.header['classes']

    @property
    def classes(self):
        """Names of the classes it was trained on, if its file records them."""
        return self.cache.header['teacher']['classes']

    @property
    def embedding_channels(self) -> int:
        """Width of the teacher's embedding, whether it was kept or not."""
        return self.cache.header['embedding_channels']

    @property
    def stage_specs(self):
        """A cache has no stages.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            'CachedTeacher: expected a method on logits or embeddings, got one that reads stages, which are '
            'too large to keep; use the teacher itself'
        )

    def describe(self) -> dict:
        """What a person wants to know of it."""
        return self.cache.header['teacher']['description']

    def digest(self) -> str:
        """SHA-256 of the teacher's weights."""
        return self.cache.header['teacher']['weights_sha256']

    def __call__(self, inputs, index=None, stages: bool = False, embedding: bool = False) -> NetOutput:
        """Rows of the current view.

        Args:
            inputs: images (N, 3, H, W), for their device alone.
            index: their places in the training set (N,).
            stages, embedding: what to give beside the logits.

        Raises:
            ValueError: no view is set, or something is asked for that was not kept.
        """
        if self.view is None:
            raise ValueError(
                'CachedTeacher: expected a view, got none; keep teacher_cache=dict(type="ReplayHook") in '
                'default_hooks'
            )
        if stages:
            _ = self.stage_specs
        if embedding and not self.cache.header['embedding']:
            raise ValueError(
                f'{self.cache.folder}: expected a cache with embeddings, which this method reads, got one '
                f'without; write it with --embedding'
            )
        logits, kept = self.cache.read(f'view{self.view:03d}', index)
        logits = logits.to(inputs.device, non_blocking=True)
        return NetOutput(logits, (), kept.to(inputs.device, non_blocking=True) if embedding else None)

    def validate(self, inputs, index) -> Optional[torch.Tensor]:
        """Logits of validation images, or None where the cache has none or others."""
        if not (self.cache.header['validation'] and self._validates):
            return None
        return self.cache.read('validation', index)[0].to(inputs.device)

    def check_run(self, facts: dict) -> None:
        """Refuse a cache of other data, another pipeline, or other batches where they are mixed.

        Args:
            facts: ``data``, ``pipeline`` and ``mixing`` of the run, as in the header.

        Raises:
            ValueError: they differ; names what.
        """
        facts, header = json.loads(json.dumps(facts)), self.cache.header
        for key, value in facts.items():
            if value != header[key]:
                raise ValueError(
                    f'{self.cache.folder}: expected a cache of this run, got one of another {key}: '
                    f'{_difference(header[key], value)}; write a new one with tools/cache_teacher.py'
                )

    def knows_validation(self, facts: dict) -> bool:
        """Whether the cache's validation images, if it has any, are those of the run.

        Args:
            facts: of the run, as ``validation_data`` in the header.
        """
        header = self.cache.header
        self._validates = header['validation_data'] == json.loads(json.dumps(facts))
        return self._validates or not header['validation']

    def _check_teacher(self, net: dict) -> None:
        known = self.cache.header['teacher']
        config = teacher_config(net)
        if config != known['config']:
            raise ValueError(
                f'{self.cache.folder}: expected a cache of the teacher in the config, got one of another: '
                f'{_difference(known["config"], config)}; write a new one with tools/cache_teacher.py'
            )
        digest = weights_digest(net)
        if None not in (digest, known['file_sha256']) and digest != known['file_sha256']:
            raise ValueError(
                f'{self.cache.folder}: expected a cache of {net["checkpoint"]} as it is now, got one of '
                f'another file (sha256 {known["file_sha256"]}, now {digest}); write a new one with '
                f'tools/cache_teacher.py'
            )

    def apply_(self, fn) -> None:
        """Nothing to move."""

    def __deepcopy__(self, memo):
        return self  # as FrozenTeacher: a copied distiller shares it


def build_teacher(config: dict, data_mean=None, data_std=None):
    """The teacher of a config: a net, or a cache."""
    if MODELS.get(config['type']) is CachedTeacher:
        return MODELS.build(config)
    return FrozenTeacher(config, data_mean, data_std)


def net_config(config: dict) -> dict:
    """Config of a teacher's net, or of the one that its cache is of, without a teacher's own keys."""
    if MODELS.get(config['type']) is CachedTeacher:
        config = config['net']
    return {key: value for key, value in config.items() if key not in OWN_KEYS}


def random_net(config: dict) -> dict:
    """The same with random weights."""
    kept = {key: value for key, value in net_config(config).items() if key != 'pretrained'}
    return dict(kept, checkpoint=RANDOM)


def teacher_config(net: dict) -> str:
    """What a teacher is, as text: its config without its file's name and how it is run."""
    kept = {key: value for key, value in net.items() if key not in (*RUNNING, 'checkpoint')}
    return json.dumps(kept, sort_keys=True, default=str)


def weights_digest(net: dict) -> Optional[str]:
    """SHA-256 of a teacher's weight file, or None where it is not here."""
    path = Path(str(net.get('checkpoint')))
    return file_digest(path) if path.is_file() else None


def _difference(before, now) -> str:
    """The first place where two values differ, short enough for a line."""
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k))
        return f'{key}: ' + _difference(before.get(key), now.get(key))
    before, now = str(before), str(now)
    same = next((i for i, (a, b) in enumerate(zip(before, now)) if a != b), min(len(before), len(now)))
    begin = max(0, same - 40)
    return f'...{before[begin : same + 60]!r}, now ...{now[begin : same + 60]!r}'
