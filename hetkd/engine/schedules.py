"""Checks of learning-rate schedules: what mmengine's would get wrong in silence."""

from itertools import combinations
from typing import Any, Optional, Sequence

from mmengine.optim.scheduler import param_scheduler as kinds

from hetkd.errors import UserError
from hetkd.registry import PARAM_SCHEDULERS

ENDLESS = kinds.INF // 2
LENGTHS = {
    kinds.CosineAnnealingParamScheduler: lambda x: x.T_max,
    kinds.OneCycleParamScheduler: lambda x: x.total_steps,
    kinds.CosineRestartParamScheduler: lambda x: x.cumulative_periods[-1],
    kinds.PolyParamScheduler: lambda x: x.total_iters + 1,
    kinds.LinearParamScheduler: lambda x: x.total_iters + 1,
}
# They set the rate, whatever it was; the others multiply it.
ABSOLUTE = (kinds.OneCycleParamScheduler, kinds.CosineRestartParamScheduler)


def check_configs(configs: Any) -> None:
    """Refuse keys of schedules that mean something else than they say.

    Args:
        configs: of a run: a schedule, a list of them, or such by the name of an optimizer.

    Raises:
        UserError: names the schedule.
    """
    if isinstance(configs, (list, tuple)) or (isinstance(configs, dict) and 'type' not in configs):
        for config in configs.values() if isinstance(configs, dict) else configs:
            check_configs(config)
        return
    if not isinstance(configs, dict):
        return
    kind = PARAM_SCHEDULERS.class_of(configs)
    if kind is None:
        return
    if issubclass(kind, kinds.ReduceOnPlateauParamScheduler) and 'rule' not in configs:
        raise UserError(
            f'param_scheduler: {kind.__name__}',
            "rule='greater' for an accuracy, 'less' for a loss",
            "none, which means 'less'",
            'add it',
        )
    if issubclass(kind, kinds.ExponentialParamScheduler) and configs.get('convert_to_iter_based'):
        raise UserError(
            f'param_scheduler: {kind.__name__}',
            'a factor for each epoch',
            'convert_to_iter_based=True, by which mmengine takes the same gamma for each iteration',
            'leave it out',
        )
    if issubclass(kind, kinds.OneCycleParamScheduler) and not configs.get('eta_max'):
        raise UserError(
            f'param_scheduler: {kind.__name__}', 'eta_max, its highest rate', 'none: it would be 0', 'add it'
        )


def check_built(built: Sequence, max_epochs: Optional[int], max_iters: int) -> None:
    """Refuse schedules whose rates are others than those they describe.

    Args:
        built: mmengine's schedulers.
        max_epochs: of the run; None where it counts iterations.
        max_iters: the same in iterations.

    Raises:
        UserError: a place that is no whole number; a warm-up of one step; one that sets the rate beside
            another.
    """
    for x in built:
        _check_whole(x)
        _check_rising(x)
    rates = [x for x in built if x.param_name == 'lr']
    length = max_iters / max_epochs if max_epochs else 1
    for pair in combinations(rates, 2):
        (a, b), (c, d) = ((x.begin * _unit(x, length), _end(x) * _unit(x, length)) for x in pair)
        setting = next((x for x in pair if isinstance(x, ABSOLUTE)), None)
        if setting is not None and max(a, c) < min(b, d):
            other = pair[0] if setting is pair[1] else pair[1]
            raise UserError(
                f'param_scheduler: {type(setting).__name__}',
                'no other schedule of lr in the same steps, since it sets the rate itself',
                f'{type(other).__name__}',
                'let one begin where the other ends',
            )


def _unit(schedule, epoch_length: float) -> float:
    return epoch_length if schedule.by_epoch else 1


def _check_whole(schedule) -> None:
    places = dict(begin=[schedule.begin], end=[schedule.end])
    for name in ('step_size', 'milestones', 'periods'):
        found = getattr(schedule, name, [])
        places[name] = [found] if isinstance(found, (int, float)) else list(found)
    for name, found in places.items():
        broken = [x for x in found if x != int(x)]
        if broken:
            unit = 'epochs' if schedule.by_epoch else 'iterations'
            raise UserError(
                f'param_scheduler: {type(schedule).__name__}.{name}',
                f'whole {unit}, since it never meets others',
                broken,
                'round it',
            )


def _check_rising(x) -> None:
    """Refuse a warm-up of one step: mmengine's leaves the rate where it begins, to the end of the run."""
    is_linear = isinstance(x, kinds.LinearParamScheduler)
    if not is_linear and not isinstance(x, kinds.ConstantParamScheduler):
        return
    low, high = (x.start_factor, x.end_factor) if is_linear else (x.factor, 1)
    if x.total_iters < 1 and low != high:
        unit = 'epochs' if x.by_epoch else 'iterations'
        raise UserError(
            f'param_scheduler: {type(x).__name__}',
            f'at least two {unit} from begin to end',
            f'begin={x.begin}, end={x.end}: {x.param_name} would stay {low:g} times as high',
            'let it end later (one epoch becomes steps by convert_to_iter_based=True), or leave it out',
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
