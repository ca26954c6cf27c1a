"""What a run is made of, as plain values, and the differences of two runs."""

import re
from typing import Any

from mmengine.dist import get_world_size

from hetkd.datasets.digest import data_digest
from hetkd.engine.plain_model import plain_model

# Top-level keys of a config that do not change results. Data and teachers are compared by their digests.
UNRELATED = {
    'activation_checkpointing', 'compile', 'custom_imports', 'default_scope', 'env_cfg', 'experiment_name',
    'find_unused_parameters', 'launcher', 'load_from', 'log_level', 'log_processor', 'model_wrapper_cfg',
    'resume', 'resume_options', 'runner_type', 'strategy', 'test_cfg', 'test_dataloader', 'test_evaluator',
    'tta_model', 'tta_pipeline', 'vis_backends', 'visualizer', 'work_dir',
}  # fmt: skip

# Keys at any depth: where files lie, and how things are run.
PLACES = {
    'ann_file', 'backend_args', 'cache', 'channels_last', 'checkpoint', 'compile', 'data_prefix', 'data_root',
    'deterministic', 'file_client_args', 'num_workers', 'out_dir', 'persistent_workers', 'pin_memory',
    'prefetch_factor',
}  # fmt: skip

# Default hooks that watch, check or save.
WATCHING = {
    'checkpoint', 'class_check', 'gradient_cosine', 'input_check', 'interrupt', 'logger', 'loss_cost',
    'loss_guard', 'progress', 'run_record', 'runtime_info', 'teacher_agreement', 'teacher_cache',
    'teacher_check', 'timer', 'training_data', 'visualization', 'waiting',
}  # fmt: skip


def made_of(runner) -> dict[str, Any]:
    """Config, data, teachers and number of processes of a run; read once, before its first step."""
    if getattr(runner, '_made_of', None) is None:
        val_loop = getattr(runner, 'val_loop', None)
        runner._made_of = dict(
            config=settings(runner.cfg),
            data=data_digest(runner.train_dataloader.dataset),
            validation=val_loop and data_digest(val_loop.dataloader.dataset),
            teachers=[
                dict(
                    net=x.describe()['net'],
                    weight=x.weight,
                    digest=x.digest(),
                    views=x.views,
                    **x.replay,
                )
                for x in getattr(plain_model(runner), 'teachers', ())
            ],
            processes=get_world_size(),
        )
    return runner._made_of


def settings(cfg) -> dict[str, Any]:
    """The settings of a config that change results, by dotted path."""
    content = {key: x for key, x in cfg.to_dict().items() if key not in UNRELATED and not key.startswith('_')}
    hooks = content.get('default_hooks') or {}
    content['default_hooks'] = {key: x for key, x in hooks.items() if key not in WATCHING}
    found = _flat(content)
    found.pop('val_dataloader.batch_size', None)
    return found


def differences(before: dict, now: dict) -> dict[str, list]:
    """``{path: [before, now]}`` of what differs; validation only where both runs have one."""
    one, other = (
        _flat({**x['config'], **{k: v for k, v in x.items() if k != 'config'}}) for x in (before, now)
    )
    found = {
        key: [one.get(key), other.get(key)]
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key)
    }
    if not (before['validation'] and now['validation']):
        found = {key: x for key, x in found.items() if not key.startswith('val')}
    return found


def _flat(value: Any, path: str = '') -> dict[str, Any]:
    if isinstance(value, (list, tuple)) and any(isinstance(x, (dict, list, tuple)) for x in value):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {path: _plain(value)}
    found = {}
    for key, x in value.items():
        if key not in PLACES:
            found |= _flat(x, f'{path}.{key}' if path else str(key))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    if hasattr(value, '__qualname__'):
        return f'{value.__module__}.{value.__qualname__}'
    return re.sub(r' at 0x\w+', '', repr(value))
