"""Checks of a run's steps: loop, intervals, clipping and rates of single parameters."""

import inspect
from typing import Optional, Sequence

from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop

from hetkd.arguments import check_names
from hetkd.errors import UserError
from hetkd.registry import LOOPS, OPTIMIZERS

UNITS = ('max_epochs', 'max_iters')

# What mmengine's own constructor reads of paramwise_cfg.
DEFAULT = 'DefaultOptimWrapperConstructor'
PARAMWISE = {
    'custom_keys',
    'bias_lr_mult',
    'bias_decay_mult',
    'norm_decay_mult',
    'dwconv_decay_mult',
    'flat_decay_mult',
    'dcn_offset_lr_mult',
    'bypass_duplicate',
}


def counts_iterations(train_cfg) -> bool:
    """Whether the loop of a config (or a loop itself) counts iterations, not epochs."""
    if isinstance(train_cfg, dict):
        if train_cfg.get('type') is None:
            return not train_cfg.get('by_epoch', True)
        kind = LOOPS.class_of(train_cfg)
    else:
        kind = type(train_cfg)
    return kind is not None and issubclass(kind, IterBasedTrainLoop)


def has_stepped(optim_wrapper) -> bool:
    """Whether an iteration ended with a step of each optimizer, which with accumulation not each does."""
    several = isinstance(optim_wrapper, OptimWrapperDict)
    wrappers = optim_wrapper.values() if several else [optim_wrapper]
    return all(x.should_update() for x in wrappers if hasattr(x, 'should_update'))


def loop_config(train_cfg: dict) -> dict:
    """A loop's config without what is None, of a run of some length in one unit.

    Raises:
        UserError: it names the run's end in the other unit, or in none; a length or an interval below 1; a
            validation that never comes.
    """
    config = {key: value for key, value in train_cfg.items() if value is not None}
    lengths = {key: config[key] for key in (*UNITS, 'val_interval') if key in config}
    changed = [('dynamic_intervals', x) for _, x in config.get('dynamic_intervals', ())]
    for key, value in [*lengths.items(), *changed]:
        if not isinstance(value, (int, float)) or value != value // 1 or value < 1:
            fix = 'a run without validation: --no-validate' if 'interval' in key else None
            raise UserError(f'train_cfg.{key}', 'a whole number >= 1', repr(value), fix)
    end = max((config[key] for key in UNITS if key in config), default=None)
    if end is not None and config.get('val_begin', 0) > end:
        raise UserError(
            'train_cfg.val_begin',
            f'{end} at most, the end of the run',
            config['val_begin'],
            'a run without validation: --no-validate',
        )
    if 'type' in config:
        return config
    mine, other = UNITS[::-1] if counts_iterations(config) else UNITS
    by_epoch = mine == 'max_epochs'
    if mine not in config or other in config:
        raise UserError(
            'train_cfg',
            f'{mine} alone with by_epoch={by_epoch}',
            [key for key in UNITS if key in config] or 'neither',
            f'write train_cfg=dict(_delete_=True, by_epoch={by_epoch}, {mine}=...), or set '
            f'train_cfg.{other}=None',
        )
    return {'by_epoch': by_epoch, **config}


def check_saving(hook: dict, iterations: bool) -> dict:
    """The config of ``CheckpointHook`` in a run that counts iterations or epochs.

    Raises:
        UserError: it counts epochs in a run that counts iterations, or a number is out of its range.
    """
    path = 'default_hooks.checkpoint'
    for key, off in (('interval', 'never but at the end'), ('max_keep_ckpts', 'all')):
        value = hook.get(key, -1)
        if not isinstance(value, int) or (value < 1 and value != -1):
            raise UserError(f'{path}.{key}', f'a whole number >= 1, or -1 ({off})', repr(value))
    if iterations and hook.get('by_epoch', False):
        raise UserError(
            path,
            'by_epoch=False in a run that counts iterations, whose only epoch is the whole run',
            'True',
            'leave by_epoch out, and set interval in iterations',
        )
    return {**hook, 'by_epoch': hook.get('by_epoch', not iterations)}


def check_clipping(clip_grad: Optional[dict]) -> None:
    """Refuse a norm that no gradient can be clipped to.

    Raises:
        UserError: it is not above zero.
    """
    for key in ('max_norm', 'clip_value'):
        value = (clip_grad or {}).get(key, 1)
        if not value > 0:
            raise UserError(
                f'optim_wrapper.clip_grad.{key}', 'a number > 0', repr(value), 'clip_grad=None clips nothing'
            )


def check_paramwise(optim_wrapper: dict, names: Sequence[str]) -> None:
    """Refuse keys of ``paramwise_cfg`` without effect.

    Args:
        optim_wrapper: its config. Keys of another constructor than the default one are not known here.
        names: of the model's parameters. A key of ``custom_keys`` is a part of names.

    Raises:
        UserError: a key that the constructor does not read; a learning rate of no parameter; a factor of a
            weight decay that the config does not name.
    """
    paramwise, path = optim_wrapper.get('paramwise_cfg') or {}, 'optim_wrapper.paramwise_cfg'
    if not isinstance(paramwise, dict):
        raise UserError(path, 'a dict', repr(paramwise))
    custom = paramwise.get('custom_keys') or {}
    if optim_wrapper.get('constructor', DEFAULT) == DEFAULT:
        check_names(paramwise, PARAMWISE, path)
        options = optim_wrapper.get('optimizer', {})
        kind = OPTIMIZERS.class_of(options)
        known = {'lr_mult', 'decay_mult', *(inspect.signature(kind).parameters if kind else ())}
        for key, own in custom.items():
            check_names(own, known, f'{path}.custom_keys.{key}')
        if 'flat_decay_mult' in paramwise and options.get('weight_decay') is None:
            raise UserError(
                f'{path}.flat_decay_mult', 'optimizer.weight_decay in the config', 'none', 'name it'
            )
    for key, own in custom.items():
        if isinstance(own, dict) and own.get('lr_mult', 1) != 1 and not any(key in name for name in names):
            raise UserError(
                f'optim_wrapper.paramwise_cfg.custom_keys.{key}',
                'a part of the name of some parameter',
                f'none among {len(names)}, such as {names[0]} and {names[-1]}' if names else 'no parameter',
                'correct it, or leave it out: its lr_mult has no effect',
            )
