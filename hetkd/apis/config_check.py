"""Check of a config before anything is built: unknown types and keys, and values, at any depth."""

import inspect
import math
import re
from difflib import get_close_matches
from functools import cache
from typing import Any, Optional

from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import FUNCTIONS, Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from hetkd.arguments import Count, Natural, argument_names, check_arguments, check_names, check_value, nearest
from hetkd.engine.steps import DEFAULT
from hetkd.errors import UserError
from hetkd.models.distillers.frozen_teacher import OWN_KEYS
from hetkd.registry import (
    BATCH_AUGMENTS,
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    WEIGHT_INITIALIZERS,
)
from hetkd.utils import register_all_modules

from .launch import LOADERS
from .shipped import shipped

# The registry of the dicts under a key, as far down as no other key of these comes.
PLACES = {
    'augments': BATCH_AUGMENTS,
    'batch_sampler': DATA_SAMPLERS,
    'collate_fn': FUNCTIONS,
    'custom_hooks': HOOKS,
    'data_preprocessor': MODELS,
    'dataset': DATASETS,
    'datasets': DATASETS,
    'default_hooks': HOOKS,
    'init_cfg': WEIGHT_INITIALIZERS,
    'log_processor': LOG_PROCESSORS,
    'metrics': METRICS,
    'model': MODELS,
    'model_wrapper_cfg': MODEL_WRAPPERS,
    'optim_wrapper': OPTIM_WRAPPERS,
    'optimizer': OPTIMIZERS,
    'param_scheduler': PARAM_SCHEDULERS,
    'pipeline': TRANSFORMS,
    'sampler': DATA_SAMPLERS,
    'test_cfg': LOOPS,
    'test_evaluator': METRICS,
    'test_view': BATCH_AUGMENTS,
    'train_cfg': LOOPS,
    'train_view': BATCH_AUGMENTS,
    'transforms': TRANSFORMS,
    'tta_model': MODELS,
    'tta_pipeline': TRANSFORMS,
    'val_cfg': LOOPS,
    'val_evaluator': METRICS,
    'vis_backends': VISBACKENDS,
    'visualizer': VISUALIZERS,
}

# Keys whose dicts are for a library: what "type" means there is its own matter.
OPAQUE = {'backend_args', 'file_client_args', 'metainfo', 'model_kwargs'}

# Keys beside a constructor's arguments, which the builder takes.
BUILDERS = {
    HOOKS: {'priority'},
    PARAM_SCHEDULERS: {'convert_to_iter_based'},
    # The last two are read with --amp.
    OPTIM_WRAPPERS: {'constructor', 'optimizer', 'paramwise_cfg', 'dtype', 'loss_scale'},
    VISUALIZERS: {'name', 'save_dir'},
}

# Where a text in place of a number is a mistake, whosoever class it is.
NUMBERS = (OPTIMIZERS, PARAM_SCHEDULERS, HOOKS, LOOPS)

# Dicts without a type.
LOADER_KEYS = {*inspect.signature(DataLoader).parameters, 'num_batch_per_epoch'}
CLOSED = {
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'env_cfg': {'cudnn_benchmark', 'dist_cfg', 'matmul_precision', 'mp_cfg', 'resource_limit'},
    'randomness': {'deterministic', 'diff_rank_seed', 'seed'},
    'resume_options': {'apply_changes', 'load_from'},
    **dict.fromkeys(LOADERS, LOADER_KEYS),
}

# Keys whose value is a dict.
SECTIONS = {
    *CLOSED,
    'default_hooks',
    'model',
    'optim_wrapper',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'visualizer',
}

# Values that no class of ours checks.
KINDS = {
    'auto_scale_lr.base_batch_size': Count,
    'data_preprocessor': Optional[dict],
    'find_unused_parameters': bool,
    'load_from': Optional[str],
    'optim_wrapper.optimizer': Optional[dict],
    'randomness.deterministic': bool,
    'randomness.seed': Optional[Natural],
    'resume': bool,
    'work_dir': Optional[str],
    **{f'{loader}.{key}': Optional[dict] for loader in LOADERS for key in ('dataset', 'sampler')},
    **{
        f'{loader}.{key}': kind
        for loader in LOADERS
        for key, kind in dict(batch_size=Count, num_workers=Natural, drop_last=bool, pin_memory=bool).items()
    },
}


def check_config(cfg: dict) -> None:
    """Refuse what no class of a config would take.

    Args:
        cfg: the config, with its ``custom_imports`` imported.

    Raises:
        UserError: an unknown type, an unknown key, a value of the wrong type or range, or NaN; with its path,
            the known names and the nearest.
    """
    register_all_modules(init_default_scope=False)
    for key, value in cfg.items():
        if key in CLOSED and isinstance(value, dict):
            check_names(value, CLOSED[key], key)
        if key in SECTIONS and not isinstance(value, (dict, type(None))):
            raise UserError(key, 'a dict', repr(value))
        if key == 'default_hooks':
            _check_hooks(value or {})
        _walk(value, key, PLACES.get(key))
    train_cfg = cfg.get('train_cfg') or {}
    if 'type' not in train_cfg:
        check_names(
            train_cfg,
            argument_names(EpochBasedTrainLoop) | argument_names(IterBasedTrainLoop) | {'by_epoch'},
            'train_cfg',
        )
    optim_wrapper = cfg.get('optim_wrapper') or {}
    if isinstance(optim_wrapper.get('optimizer'), dict):
        _check_type(optim_wrapper['optimizer'], 'optim_wrapper.optimizer', OPTIMIZERS)


def _walk(value: Any, path: str, registry: Optional[Registry]) -> None:
    if isinstance(value, float) and math.isnan(value):
        raise UserError(path, 'a number', 'NaN')
    if path in KINDS:
        check_value(value, KINDS[path], path)
    if isinstance(value, dict):
        if value.get('type') is not None and registry is not None:
            _check_class(value, path, registry)
        elif path == 'optim_wrapper' and 'type' not in value and value.get('constructor', DEFAULT) == DEFAULT:
            _check_keys(OptimWrapper, value, path, registry)
        for key, child in value.items():
            if key not in OPAQUE:
                _walk(child, f'{path}.{key}', PLACES.get(key, registry))
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            _walk(child, f'{path}[{i}]', registry)


def _check_class(config: dict, path: str, registry: Registry) -> None:
    kind = config['type']
    cls = _find(kind, registry) if isinstance(kind, str) else kind
    if cls is None:
        known = sorted(_known(registry))
        raise UserError(
            f'{path}.type', f'the name of a registered {registry.name}', repr(kind), nearest(kind, known)
        )
    _check_keys(cls, config, path, registry)


def _find(name: str, registry: Registry):
    """The class of a name: in the registry of its place, or in any, since a class may build what it likes."""
    for one in dict.fromkeys((registry, *PLACES.values(), MODELS)):
        found = _get(one, name)
        if found is not None:
            return found
    return None


@cache
def _get(registry: Registry, name: str):
    try:
        return registry.get(name)
    except Exception:  # mmengine tries to import what stands before a dot
        return None


def _known(registry: Registry) -> set[str]:
    names = set()
    while registry is not None:
        names |= set(registry.module_dict)
        registry = registry.parent
    return names


def _check_keys(cls, config: dict, path: str, registry: Registry) -> None:
    values = {key: x for key, x in config.items() if key not in ('type', '_scope_', '_delete_')}
    names = argument_names(cls)
    extra = BUILDERS.get(registry, set())
    if names is not None:
        check_names(values, names | extra, path, cls)
    if not isinstance(cls, type):
        return
    check_arguments(cls, {key: x for key, x in values.items() if key not in extra}, path)
    if re.search(r'\bteacher(\[\d+\])?$', path):  # a net, with keys of its teacher
        for key in OWN_KEYS.keys() & values.keys():
            check_value(values[key], OWN_KEYS[key], f'{path}.{key}')
    if registry in NUMBERS:
        parameters = inspect.signature(cls).parameters
        for key, value in values.items():
            default = parameters[key].default if key in parameters else None
            if isinstance(value, str) and isinstance(default, (int, float)):
                raise UserError(
                    f'{path}.{key}', f'a {type(default).__name__} as its default {default}', repr(value)
                )


def _check_hooks(hooks: dict) -> None:
    """A key of default_hooks that resembles another one is a slip of the pen."""
    for key, hook in hooks.items():
        path, known = f'default_hooks.{key}', _default_hooks()
        close = get_close_matches(key, known, n=1, cutoff=0.8)
        if key not in known and (close or (isinstance(hook, dict) and 'type' not in hook)):
            raise UserError(
                path,
                'the key of a default hook',
                'an unknown one',
                f'{nearest(key, sorted(known))}. A hook of your own goes to custom_hooks, with its type',
            )


@cache
def _default_hooks() -> set[str]:
    shipped_hooks = Config.fromfile(shipped() / 'configs/_base_/default_runtime.py').default_hooks
    return {'runtime_info', 'student_ema', *shipped_hooks}


def _check_type(config: dict, path: str, registry: Registry) -> None:
    if 'type' not in config:
        raise UserError(
            path, f'type, the name of a registered {registry.name}', f'keys {sorted(config)} alone'
        )
