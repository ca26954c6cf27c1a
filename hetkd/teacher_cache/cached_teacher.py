"""A teacher read from a cache."""

import json
from typing import Optional

import torch
from mmengine.logging import print_log

from hetkd.arguments import Weight
from hetkd.devices import to_device
from hetkd.errors import UserError
from hetkd.models.distillers.teacher import Teacher
from hetkd.models.nets.contract import NetOutput
from hetkd.registry import MODELS

from .cache import TeacherCache
from .facts import difference, teacher_config, weights_digest, weights_name


@MODELS.register_module()
class CachedTeacher(Teacher):
    """A teacher's logits (and embeddings) from a :class:`~hetkd.teacher_cache.TeacherCache`, without a net.

    The cache holds V views of each image; epoch e trains on view e mod V, which ``ReplayHook`` has the data
    pipeline repeat: crops, flips, and partners of mixup and cutmix. The key ``cache`` in the config of a
    teacher's net is short for it: ``teacher=dict(type='TimmNet', ..., cache=FOLDER)``.

    Args:
        cache: folder written by ``tools/cache_teacher.py``.
        net: config of the teacher that the cache is of, as it would stand in place of this one.
        weight: of the distillation losses among several teachers.

    Raises:
        UserError: there is no cache.
        UserError: it is of another teacher.
    """

    def __init__(self, cache: str, net: dict, weight: Weight = 1.0):
        super().__init__(weight)
        self.cache = TeacherCache(cache)
        self.view: Optional[int] = None
        self._validates = True
        self._check_teacher(net)

    @property
    def replay(self) -> dict:
        """Seed of the views, and how many logits are kept."""
        return {key: self.cache.header[key] for key in ('seed', 'top_k')}

    @property
    def views(self) -> int:
        return self.cache.views

    @property
    def num_classes(self) -> int:
        return self.cache.header['classes']

    @property
    def classes(self):
        return self.cache.header['teacher']['classes']

    @property
    def embedding_channels(self) -> int:
        """Width of the teacher's embedding, whether it was kept or not."""
        return self.cache.header['embedding_channels']

    @property
    def stage_specs(self):
        """A cache has no stages.

        Raises:
            UserError: always.
        """
        raise UserError(
            'teacher.cache',
            'a method on logits or embeddings',
            'one that reads stages, which are too large to keep',
            'use the teacher itself',
        )

    def describe(self) -> dict:
        return self.cache.header['teacher']['description']

    def digest(self) -> str:
        return self.cache.header['teacher']['weights_sha256']

    def __call__(
        self, inputs, index=None, stages: bool = False, embedding: bool = False, logits: bool = True
    ) -> NetOutput:
        """Rows of the current view.

        Args:
            inputs: images (N, 3, H, W), for their device alone.
            index: their places in the training set (N,).
            stages, embedding, logits: what to give.

        Raises:
            UserError: no view is set, or something is asked for that was not kept.
        """
        if self.view is None:
            raise UserError(
                'CachedTeacher',
                'a view',
                'none',
                'keep teacher_cache=dict(type="ReplayHook") in default_hooks',
            )
        if stages:
            _ = self.stage_specs
        if embedding and not self.cache.header['embedding']:
            raise UserError(
                self.cache.folder,
                'a cache with embeddings, which this method reads',
                'one without',
                'write it with --embedding',
            )
        rows = self.cache.read(f'view{self.view:03d}', index, logits, embedding)
        scores, features = (None if x is None else to_device(x, inputs.device) for x in rows)
        return NetOutput(scores, (), features)

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
            UserError: they differ; names what.
        """
        facts, header = json.loads(json.dumps(facts)), self.cache.header
        for key, value in facts.items():
            if value != header[key]:
                raise UserError(
                    self.cache.folder,
                    'a cache of this run',
                    f'one of another {key}: {difference(header[key], value)}',
                    'write a new one with tools/cache_teacher.py',
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
            raise UserError(
                self.cache.folder,
                'a cache of the teacher in the config',
                f'one of another: {difference(known["config"], config)}',
                'write a new one with tools/cache_teacher.py',
            )
        digest = weights_digest(net)
        if digest is None and known['file_sha256'] is not None:
            print_log(
                f'{self.cache.folder}: {weights_name(net)} is not here, so it is taken for the file that the '
                f'cache is of'
            )
        if None not in (digest, known['file_sha256']) and digest != known['file_sha256']:
            raise UserError(
                self.cache.folder,
                f'a cache of {weights_name(net)} as it is now',
                f'one of another file (sha256 {known["file_sha256"]}, now {digest})',
                'write a new one with tools/cache_teacher.py',
            )
