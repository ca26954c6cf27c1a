"""The moving average of the student."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from hetkd.engine.steps import has_stepped
from hetkd.errors import UserError
from hetkd.models.nets.checkpoint import read_weights

EMA = dict(type='StudentEMAHook', momentum=0.1)


class Follow(Hook):
    """The average by its definition, step by step."""

    priority = 'LOWEST'

    def __init__(self, momentum, every=1):
        self.momentum, self.every, self.average = momentum, every, None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (runner.iter + 1) % self.every and runner.iter + 1 < runner.max_iters:
            return
        now = {k: v.detach().clone() for k, v in runner.model.student.named_parameters()}
        before = self.average
        self.average = (
            now
            if before is None
            else {k: (1 - self.momentum) * before[k] + self.momentum * now[k] for k in now}
        )


def test_with_accumulation_it_takes_up_steps_and_not_batches(runner_of, tmp_path):
    runner = runner_of(custom_hooks=[EMA], optim_wrapper__accumulative_counts=3)
    follow = Follow(0.1, every=3)
    runner.register_hook(follow)
    runner.train()
    assert runner.iter % 3, 'the last step is of fewer batches'
    for name, value in follow.average.items():
        torch.testing.assert_close(saved(tmp_path)['state_dict']['student.' + name], value)


def test_of_several_optimizers_each_has_to_step():
    class Other:
        """A user's wrapper."""

    def wrapper(every):
        found = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1), every)
        found.initialize_count_status(torch.nn.Identity(), 0, 6)
        return found

    one, two = wrapper(1), wrapper(2)
    several = OptimWrapperDict(one=one, two=two)
    seen = []
    for _ in range(4):
        for x in (one, two):
            x.update_params(x.optimizer.param_groups[0]['params'][0].sum())
        seen.append((has_stepped(one), has_stepped(two), has_stepped(several)))
    assert seen == [(True, False, False), (True, True, True)] * 2
    assert has_stepped(Other())


class Precise(Hook):
    """Statistics that change after an epoch's last step, as by PreciseBNHook or SyncBuffersHook."""

    def after_train_epoch(self, runner):
        for name, x in runner.model.student.named_buffers():
            if name.endswith('running_mean'):
                x.fill_(0.25)


def test_the_statistics_that_are_saved_are_those_of_the_validation(runner_of, tmp_path):
    runner_of(custom_hooks=[EMA, dict(type=Precise)]).train()
    means = {k: x for k, x in saved(tmp_path)['state_dict'].items() if k.endswith('running_mean')}
    assert means and all((x == 0.25).all() for k, x in means.items() if k.startswith('student.'))


class Break(Hook):
    """Break the run off before an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


def saved(folder, epoch=2):
    return torch.load(folder / f'epoch_{epoch}.pth', weights_only=False)


def test_it_averages_the_student_alone_and_that_is_what_is_saved_and_tested(runner_of, tmp_path):
    runner = runner_of(custom_hooks=[EMA], default_hooks__checkpoint__interval=1)
    follow = Follow(0.1)
    runner.register_hook(follow)
    runner.train()
    checkpoint = saved(tmp_path)
    trained = {k: v for k, v in runner.model.state_dict().items() if k.startswith('student.')}
    for name, value in follow.average.items():
        torch.testing.assert_close(checkpoint['state_dict']['student.' + name], value)
        assert torch.equal(checkpoint['ema_state_dict']['module.' + name], trained['student.' + name])
        assert not torch.equal(value, trained['student.' + name])
    assert {x.removeprefix('module.') for x in checkpoint['ema_state_dict']} - {'steps'} == {
        x.removeprefix('student.') for x in trained
    }, 'no connector and no teacher is copied'
    exported = read_weights(str(tmp_path / 'epoch_2.pth')).state_dict
    name = next(iter(follow.average))
    torch.testing.assert_close(exported[name.removeprefix('model.')], follow.average[name])


def test_validation_sees_the_average(runner_of):
    runner = runner_of(custom_hooks=[EMA])
    follow, seen = Follow(0.1), []

    class Look(Hook):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            name, value = next(iter(follow.average.items()))
            seen.append(torch.allclose(dict(runner.model.student.named_parameters())[name], value))

    runner.register_hook(follow)
    runner.register_hook(Look())
    runner.train()
    assert seen and all(seen)


def test_a_resumed_run_goes_on_with_both(runner_of, tmp_path):
    options = dict(custom_hooks=[EMA], default_hooks__checkpoint__interval=1)
    runner_of(work_dir=tmp_path / 'whole', **options).train()
    broken = runner_of(work_dir=tmp_path / 'broken', **options)
    broken.register_hook(Break(1))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    runner_of(work_dir=tmp_path / 'broken', resume=True, **options).train()
    one, other = saved(tmp_path / 'whole'), saved(tmp_path / 'broken')
    for part in ('state_dict', 'ema_state_dict'):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][key], other[part][key]) for key in one[part])


def test_a_run_that_loads_weights_begins_its_average_there(runner_of, tmp_path):
    runner_of(work_dir=tmp_path / 'first', default_hooks__checkpoint__interval=1).train()
    start = tmp_path / 'first/epoch_2.pth'
    runner = runner_of(work_dir=tmp_path / 'second', custom_hooks=[EMA], load_from=str(start))
    runner.register_hook(Break(0))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    average = next(x for x in runner.hooks if type(x).__name__ == 'StudentEMAHook').ema_model.module
    state = saved(tmp_path / 'first')['state_dict']
    assert all(torch.equal(value, state['student.' + name]) for name, value in average.state_dict().items())


def test_two_averages_are_refused(runner_of):
    runner = runner_of(custom_hooks=[EMA], default_hooks__student_ema=EMA)
    with pytest.raises(UserError, match='StudentEMAHook: expected one moving average, got several'):
        runner.train()


def test_a_net_that_is_validated_and_not_saved_is_refused(runner_of):
    with pytest.raises(UserError, match='EMAHook.evaluate_on_ema: expected True'):
        runner_of(custom_hooks=[dict(type='EMAHook', evaluate_on_ema=False)])
