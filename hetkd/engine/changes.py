"""Resume a run whose settings have changed: what can be applied, what is refused."""

import warnings
from typing import Any, Optional

from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop

from hetkd.errors import UserError

from .made_of import differences, made_of

SHOWN = 20

# Differences of these move the place of a run in its data.
ORDER = (
    'train_dataloader.batch_size', 'train_dataloader.sampler', 'train_dataloader.batch_sampler',
    'train_dataloader.drop_last', 'processes', 'data.',
)  # fmt: skip

# Differences of these, or of ORDER, change the optimizer's settings or their schedule.
RATES = ('optim_wrapper', 'param_scheduler', 'train_cfg', 'auto_scale_lr')

# Differences that no flag applies, and why.
FIXED = {
    'randomness.seed': 'the order of the images depends on it',
    'optim_wrapper.optimizer.type': 'its state is that of another optimizer',
    'optim_wrapper.paramwise_cfg': 'the optimizer groups its parameters by it',
    'optim_wrapper.constructor': 'the optimizer groups its parameters by it',
    'train_cfg.by_epoch': 'the run counts its steps in another way',
}


def check(runner, checkpoint: dict, path: str, apply: bool) -> dict[str, list]:
    """The differences between a run and the checkpoint that it resumes.

    Args:
        runner: the run.
        checkpoint: what it resumes.
        path: the checkpoint's name.
        apply: whether differences are wanted.

    Raises:
        UserError: there are some and ``apply`` is False, or some that cannot be applied.
    """
    before = checkpoint['meta'].get('made_of')
    if before is None:
        runner.logger.warning(
            f'resume: {path} does not record what its run was made of; it is resumed without a comparison'
        )
        return {}
    found = differences(before, made_of(runner))
    fixed = {key: reason for key in found if (reason := _fixed(runner, key, found)) is not None}
    if (found and not apply) or fixed:
        lines = [
            f'  {key}: {old!r} -> {new!r}' + (f' (cannot be applied: {fixed[key]})' if key in fixed else '')
            for key, (old, new) in sorted(found.items(), key=lambda item: item[0] not in fixed)
        ]
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f'  and {len(lines) - SHOWN} more']
        advice = '' if fixed else 'add --apply-changes to continue with what is new from here on, '
        raise UserError(
            '--resume',
            f'the run of {path} as it was',
            '\n'.join(['differences (before -> now):', *lines]),
            f'undo them, {advice}or begin another run with these weights: --work-dir of its own, '
            '--cfg-options load_from=CHECKPOINT, no --resume',
        )
    return found


def _fixed(runner, key: str, found: dict) -> Optional[str]:
    """Why a difference cannot be applied, or None."""
    for path, reason in FIXED.items():
        if key == path or key.startswith(path + '.'):
            return reason
    if key.startswith(ORDER) and isinstance(runner.train_loop, IterBasedTrainLoop):
        return 'a run of iterations knows its place in the data by its steps'
    if key.startswith((*RATES, *ORDER)):
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            return 'there are several optimizers'
        if any(getattr(x, 'need_val_args', False) for x in runner.param_schedulers or ()):
            return 'the schedule depends on earlier validations'
    return None


def apply(runner, found: dict[str, list], fresh: 'Rates', length: int) -> None:
    """Put the changes into a run that is loaded: its place in the data, optimizer and schedule.

    Args:
        runner: the run.
        found: what :func:`check` has found.
        fresh: the rates of the config.
        length: batches of an epoch before the change.

    Raises:
        UserError: the run is to end before the place that it is at.
    """
    loop = runner.train_loop
    done, end = (
        (loop.iter, loop.max_iters) if isinstance(loop, IterBasedTrainLoop) else (loop.epoch, loop.max_epochs)
    )
    if end < done:
        raise UserError('train_cfg', f'to end after {done}, where the run is', end, 'raise it')
    if any(key.startswith(ORDER) for key in found):
        if loop.iter != loop.epoch * length:
            runner.logger.warning(
                f'resume: batches, processes or data have changed within epoch {loop.epoch + 1}, which '
                f'begins anew'
            )
        loop._iter = loop.epoch * len(loop.dataloader)
    if any(key.startswith((*RATES, *ORDER)) for key in found):
        fresh.put(runner)
    lines = [f'  {key}: {old!r} -> {new!r}' for key, (old, new) in found.items()]
    runner.logger.info('\n'.join([f'resume: changed from epoch {loop.epoch + 1} on:', *lines]))


class Rates:
    """Settings of the optimizer's groups and of the schedules as the config builds them, before a load."""

    def __init__(self, runner):
        self.groups, self.schedules = rates(runner)

    def put(self, runner) -> None:
        """Use them in place of those that were loaded, and bring the schedules to the run's place."""
        for group, values in zip(runner.optim_wrapper.param_groups, self.groups):
            group.update(values)
        schedulers = runner.param_schedulers or []
        for scheduler, state in zip(schedulers, self.schedules):
            scheduler.load_state_dict(state)
        loop, length = runner.train_loop, len(runner.train_loop.dataloader)
        by_iter = [x for x in schedulers if not x.by_epoch]
        by_epoch = [x for x in schedulers if x.by_epoch]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # steps of schedules without steps of the optimizer
            for step in range(1, loop.iter + 1) if by_iter else ():
                for scheduler in by_iter:
                    scheduler.step()
                if step % length == 0 and step // length <= loop.epoch:
                    for scheduler in by_epoch:
                        scheduler.step()
            for _ in range(0 if by_iter else loop.epoch):
                for scheduler in by_epoch:
                    scheduler.step()


def rates(runner) -> tuple[list[dict], list[dict[str, Any]]]:
    """Settings of the optimizer's groups, and states of the schedules."""
    groups = [
        {key: x for key, x in group.items() if key != 'params'}
        for group in in_one(runner.optim_wrapper.param_groups)
    ]
    return groups, [dict(x.state_dict()) for x in in_one(runner.param_schedulers)]


def in_one(lists) -> list:
    """A list as it is; those of several optimizers, by name, in one."""
    return [x for one in lists.values() for x in one] if isinstance(lists, dict) else list(lists or ())
