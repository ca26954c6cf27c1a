"""Checks of a run's steps: loop, intervals and learning-rate schedules."""

from typing import Optional, Sequence

from mmengine.optim.scheduler import param_scheduler as kinds
from mmengine.runner import IterBasedTrainLoop

from hetkd.errors import UserError
from hetkd.registry import LOOPS

UNITS = ('max_epochs', 'max_iters')
ENDLESS = kinds.INF // 2
LENGTHS = {
    kinds.CosineAnnealingParamScheduler: lambda x: x.T_max,
    kinds.OneCycleParamScheduler: lambda x: x.total_steps,
    kinds.CosineRestartParamScheduler: lambda x: x.cumulative_periods[-1],
    kinds.PolyParamScheduler: lambda x: x.total_iters + 1,
    kinds.LinearParamScheduler: lambda x: x.total_iters + 1,
}


def counts_iterations(train_cfg) -> bool:
    """Whether the loop of a config (or a loop itself) counts iterations, not epochs."""
    if isinstance(train_cfg, dict):
        kind = train_cfg.get('type')
        if kind is None:
            return not train_cfg.get('by_epoch', True)
        kind = LOOPS.get(kind) if isinstance(kind, str) else kind
    else:
        kind = type(train_cfg)
    return isinstance(kind, type) and issubclass(kind, IterBasedTrainLoop)


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


def check_rates(paramwise_cfg: Optional[dict], names: Sequence[str]) -> None:
    """Refuse a learning rate of its own for parameters that the model has not.

    Args:
        paramwise_cfg: of the optimizer. A key of ``custom_keys`` is a part of names.
        names: of the model's parameters.

    Raises:
        UserError: names the key.
    """
    for key, own in ((paramwise_cfg or {}).get('custom_keys') or {}).items():
        if own.get('lr_mult', 1) != 1 and not any(key in name for name in names):
            raise UserError(
                f'optim_wrapper.paramwise_cfg.custom_keys.{key}',
                'a part of the name of some parameter',
                f'none among {len(names)}, such as {names[0]} and {names[-1]}' if names else 'no parameter',
                'correct it, or leave it out: its lr_mult has no effect',
            )


def schedule_problems(built: Sequence, max_epochs: Optional[int], max_iters: int) -> list[str]:
    """Schedules that overshoot the run's end, do not reach it, or rise to their least value; as phrases.

    Args:
        built: mmengine's schedulers.
        max_epochs: of the run; None where it counts iterations.
        max_iters: the same in iterations.
    """
    problems, last = [], None
    for schedule in built:
        name = type(schedule).__name__
        if isinstance(schedule, kinds.ReduceOnPlateauParamScheduler):
            return problems
        unit, run_end = ('epoch', max_epochs) if schedule.by_epoch else ('iteration', max_iters)
        if run_end is None:
            problems.append(f'{name} counts epochs, the run iterations (by_epoch=False)')
            continue
        text = _overshoot(schedule, run_end)
        if text:
            problems.append(f'{name} {text.format(unit=unit)}, the run ends at {unit} {run_end}')
        low, first = getattr(schedule, 'eta_min', None) or 0, min(schedule.base_values)
        if low > first and schedule.param_name == 'lr':
            problems.append(f'{name} rises to eta_min={low:g} from {first:g}')
        end = _end(schedule)
        if last is None or end / run_end >= last[0]:
            last = end / run_end, f'{name} ends at {unit} {end}, the run at {run_end}', _falls(schedule)
    if last and last[0] < 1 and last[2]:
        problems.append(last[1])
    return problems


def check_rising(built: Sequence) -> None:
    """Refuse a warm-up of one step: mmengine's would leave the rate where it begins, to the end of the run.

    Args:
        built: mmengine's schedulers.

    Raises:
        UserError: names it.
    """
    for x in built:
        is_linear = isinstance(x, kinds.LinearParamScheduler)
        if not is_linear and not isinstance(x, kinds.ConstantParamScheduler):
            continue
        low, high = (x.start_factor, x.end_factor) if is_linear else (x.factor, 1)
        if x.total_iters < 1 and low != high:
            unit = 'epochs' if x.by_epoch else 'iterations'
            raise UserError(
                f'param_scheduler: {type(x).__name__}',
                f'at least two {unit} from begin to end',
                f'begin={x.begin}, end={x.end}: {x.param_name} would stay {low:g} times as high',
                'let it end later (one epoch becomes steps by convert_to_iter_based=True), or leave it out',
            )


def _overshoot(schedule, run_end: int) -> Optional[str]:
    """What of a schedule lies beyond the run's end, or that it turns back before."""
    begin, end = schedule.begin, _end(schedule)
    if begin >= run_end:
        return f'begins at {{unit}} {begin}'
    if isinstance(schedule, kinds.MultiStepParamScheduler):
        late = sorted(begin + x for x in schedule.milestones if begin + x >= run_end)
        return f'has milestones at {{unit}} {late}' if late else None
    if isinstance(schedule, kinds.StepParamScheduler):
        first = begin + schedule.step_size
        return f'has its first step at {{unit}} {first}' if first >= run_end else None
    if isinstance(schedule, kinds.CosineAnnealingParamScheduler):
        low = begin + schedule.T_max
        if low < min(schedule.end, run_end):
            return f'rises again after {{unit}} {low}'
        end = max(low, end)
    if end > run_end and (end < ENDLESS or _length(schedule) is not None):
        return f'ends at {{unit}} {end}' if end < ENDLESS else 'has no end'
    return None


def _end(schedule) -> int:
    """The step from which on it changes nothing."""
    length = _length(schedule)
    return schedule.end if length is None else min(schedule.end, schedule.begin + length)


def _length(schedule) -> Optional[int]:
    """Steps of a schedule that comes to an end by itself."""
    return next((length(schedule) for kind, length in LENGTHS.items() if isinstance(schedule, kind)), None)


def _falls(schedule) -> bool:
    """Whether it leaves the rate low: a run continues there by mistake only."""
    if isinstance(schedule, kinds.LinearParamScheduler):
        return schedule.end_factor < schedule.start_factor
    return _length(schedule) is not None
