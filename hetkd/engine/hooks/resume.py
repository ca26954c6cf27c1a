"""Resume: compare the run with what it was, restore hooks, repeat an interrupted validation."""

import copy
import uuid
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.hooks import EarlyStoppingHook, EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop

from hetkd.engine import changes
from hetkd.engine.batches import sampler_of
from hetkd.engine.made_of import made_of
from hetkd.engine.plain_model import plain_model
from hetkd.engine.plain_values import plain
from hetkd.engine.steps import has_stepped
from hetkd.errors import UserError
from hetkd.registry import HOOKS

# Their hooks keep their state elsewhere, but for EarlyStoppingHook.
LIBRARIES = ('hetkd', 'mmengine', 'mmpretrain')


@HOOKS.register_module()
class ResumeHook(Hook):
    """What a run is resumed by, beside weights and optimizer; the runner registers it by itself.

    - A checkpoint records what its run was made of. A run that is resumed with other settings is refused, or
      continues with them if asked to; see :mod:`hetkd.engine.changes`.
    - The state of mmengine's ``EarlyStoppingHook`` and of a user's hooks is saved and restored: of
      ``state_dict()`` and ``load_state_dict()`` (which gets arrays as lists), or the attributes of numbers,
      strings, tensors, arrays, lists and dicts that have changed since training began.
    - Gradients that wait for a step, where ``accumulative_counts`` does not divide the epoch (one process).
    - A run that is resumed where a validation is due first repeats it. A checkpoint that is saved within a
      validation (a new best) has the state from before it, so that it counts once.

    Attributes:
        run: identifies a run and its resumed parts.
        changes: what was changed, and from which epoch on.
    """

    priority = 'LOWEST'

    def __init__(self):
        self.run, self.changes = uuid.uuid4().hex, []
        self.found: dict[str, list] = {}
        self.length = 0
        self._begin: Optional[dict[str, dict]] = None  # before training
        self._loaded: dict[str, dict] = {}
        self._gradients: dict[str, torch.Tensor] = {}
        self._before_val = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare, before anything is loaded."""
        if not runner._resume:
            return
        path = runner._load_from
        _check_content(runner, checkpoint, path)
        options = runner.cfg.get('resume_options') or {}
        if 'ema_state_dict' in checkpoint and not any(isinstance(x, EMAHook) for x in runner.hooks):
            raise UserError(
                '--resume',
                f'the moving average that the run of {path} has',
                'no hook for it, so the run would go on from the average and not from the trained weights',
                'keep the hook, or begin a run from the average: load_from=CHECKPOINT, no --resume',
            )
        self.found = changes.check(runner, checkpoint, path, options.get('apply_changes', False))
        _check_weights(runner, checkpoint, path)
        meta = checkpoint['meta']
        self.run, self.changes = meta.get('run', self.run), meta.get('changes', [])
        self.length = meta.get('epoch_length', 0)
        self._loaded, self._gradients = checkpoint.get('hooks', {}), checkpoint.get('gradients', {})
        _reseed(runner, meta.get('seed'))

    def apply(self, runner, fresh: changes.Rates) -> None:
        """Put the changes into the run, after everything is loaded."""
        if self.found:
            changes.apply(runner, self.found, fresh, self.length)
            place = dict(epoch=runner.epoch, iteration=runner.iter)
            self.changes = [*self.changes, dict(after=place, changed=self.found)]

    def before_train(self, runner) -> None:
        """Restore the hooks, which have begun anew, and repeat the validation of a resumed run."""
        made_of(runner)
        for name, parameter in plain_model(runner).named_parameters():
            if name in self._gradients:
                parameter.grad = self._gradients[name].to(parameter)
        self._gradients = {}
        hooks = _with_state(runner)
        self._begin = {name: _attributes(hook) for name, hook in hooks.items()}
        for name in hooks.keys() & self._loaded.keys():
            _restore(hooks[name], self._loaded[name])
        if _validation_is_due(runner):
            runner.val_loop.run()

    def before_val(self, runner) -> None:
        """Note the state before a validation."""
        if self._begin is not None:
            self._before_val = copy.deepcopy((self._states(runner), *changes.rates(runner)))

    def after_val(self, runner) -> None:
        """The validation counts."""
        self._before_val = None

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add what a resumed run needs."""
        checkpoint['meta'].update(
            made_of=plain(made_of(runner)),
            run=self.run,
            changes=self.changes,
            epoch_length=len(runner.train_loop.dataloader),
        )
        if get_world_size() == 1:  # others have their own, and mmengine says that they are lost
            checkpoint['gradients'] = _left_over(runner)
        checkpoint['hooks'] = plain(self._states(runner))
        if self._before_val is not None:
            checkpoint['hooks'], groups, schedules = plain(self._before_val)
            optimizers = checkpoint.get('optimizer', {})
            optimizers = [optimizers] if 'param_groups' in optimizers else optimizers.values()
            saved = [group for state in optimizers for group in state['param_groups']]
            for state, values in zip(
                saved + changes.in_one(checkpoint.get('param_schedulers')), groups + schedules
            ):
                state.update(values)

    def _states(self, runner) -> dict[str, dict]:
        return {
            name: dict(state_dict=hook.state_dict())
            if hasattr(hook, 'state_dict')
            else {
                k: v for k, v in _attributes(hook).items() if not _equal(v, self._begin.get(name, {}).get(k))
            }
            for name, hook in _with_state(runner).items()
        }


def history(runner) -> dict:
    """Which run this is, and its changes; empty without the hook."""
    found = [x for x in runner.hooks if isinstance(x, ResumeHook)]
    return dict(run=found[0].run, changes=found[0].changes) if found else {}


def _check_content(runner, checkpoint: dict, path: str) -> None:
    needed = ['meta', 'state_dict', 'message_hub', 'optimizer']
    needed += [] if runner.param_schedulers is None else ['param_schedulers']
    missing = [key for key in needed if key not in checkpoint]
    if missing:
        raise UserError(
            '--resume',
            f'{path} to be a checkpoint with the state of the run',
            f'one without {missing} (a best checkpoint has weights alone)',
            'resume from an epoch_*.pth, or begin with these weights: --cfg-options '
            'load_from=CHECKPOINT, no --resume',
        )


def _check_weights(runner, checkpoint: dict, path: str) -> None:
    mine, saved = (
        {key: tuple(x.shape) for key, x in state.items()}
        for state in (plain_model(runner).state_dict(), checkpoint['state_dict'])
    )
    wrong = sorted(key for key in mine.keys() | saved.keys() if mine.get(key) != saved.get(key))
    if wrong:
        lines = [f'  {key}: {saved.get(key)} -> {mine.get(key)}' for key in wrong[:10]]
        raise UserError(
            '--resume',
            f'the model of {path}',
            '\n'.join([f'another in {len(wrong)} weights (shape before -> now):', *lines]),
            'begin another run: --work-dir of its own, no --resume',
        )


def _left_over(runner) -> dict[str, torch.Tensor]:
    """Gradients that wait for a step, where accumulation does not divide the epoch."""
    if has_stepped(runner.optim_wrapper):
        return {}
    named = plain_model(runner).named_parameters()
    return {name: x.grad for name, x in named if x.grad is not None}


def _reseed(runner, seed: Optional[int]) -> None:
    """Without a seed in the config, mmengine takes that of the checkpoint, after it has built the sampler."""
    sampler = sampler_of(runner.train_dataloader)
    if seed is not None and getattr(sampler, 'seed', None) == runner.seed:
        sampler.seed = seed


def _with_state(runner) -> dict[str, Hook]:
    found: dict[str, Hook] = {}
    for hook in runner.hooks:
        is_users = type(hook).__module__.partition('.')[0] not in LIBRARIES
        if is_users or isinstance(hook, EarlyStoppingHook) or hasattr(hook, 'state_dict'):
            name = type(hook).__name__
            same = sum(x.partition('#')[0] == name for x in found)
            found[f'{name}#{same + 1}' if same else name] = hook
    return found


def _attributes(hook: Hook) -> dict[str, Any]:
    """Those of plain values, as copies."""
    return {key: plain(copy.deepcopy(x)) for key, x in vars(hook).items() if _is_plain(x)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, [*value.keys(), *value.values()]))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (str, int, float, bool, type(None), np.generic, np.ndarray, torch.Tensor))


def _equal(one: Any, other: Any) -> bool:
    if torch.is_tensor(one) or torch.is_tensor(other):
        return torch.is_tensor(one) and torch.is_tensor(other) and torch.equal(one, other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(x, other[key]) for key, x in one.items())
    return one == other


def _restore(hook: Hook, state: dict) -> None:
    if 'state_dict' in state and hasattr(hook, 'load_state_dict'):
        hook.load_state_dict(state['state_dict'])
    else:
        for name, value in state.items():
            is_array = isinstance(vars(hook).get(name), np.ndarray)  # which a checkpoint has as a list
            setattr(hook, name, np.asarray(value) if is_array else value)


def _validation_is_due(runner) -> bool:
    """Whether a validation follows the steps that are done. Checkpoints are saved before it."""
    loop = runner.train_loop
    if runner.val_loop is None or not loop.iter:
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and loop.iter != loop.epoch * len(loop.dataloader):
        return False
    done, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    loop._decide_current_val_interval()
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)
