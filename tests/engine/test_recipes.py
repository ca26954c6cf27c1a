"""A recipe that cannot be switched to is named before the first step."""

from pathlib import Path

import pytest
from mmengine.hooks import Hook

from hetkd.errors import UserError

from .test_batch_views import VIEWS
from .test_loops import RESIZED

SMALL = {
    'train_dataloader.dataset.per_class': 6,
    'train_dataloader.batch_size': 20,
    'val_dataloader.dataset.per_class': 2,
    'train_cfg.max_epochs': 2,
}


def run(runner_of, recipe, **options):
    runner = runner_of('kd', custom_hooks=[dict(type='SwitchRecipeHook', schedule=[recipe])], **options)
    runner.train()
    return runner


@pytest.mark.parametrize(
    'recipe, options, words',
    [
        (dict(train_pipeline=RESIZED), VIEWS, 'data sets with a pipeline that it can switch, got InMemory'),
        (dict(loss=dict(type='LabelLoss')), SMALL, 'a model whose loss can be switched.*LogitDistiller'),
    ],
)
def test_a_recipe_that_would_fail_in_its_epoch_is_refused(recipe, options, words, runner_of, tmp_path):
    with pytest.raises(UserError, match=f'SwitchRecipeHook: expected {words}'):
        run(runner_of, dict(recipe, action_epoch=2), **options)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('epoch, iterations', [(3, False), (0, False), (2, True), (2, False), (1, True)])
def test_a_recipe_of_no_epoch_of_the_run_is_named(epoch, iterations, runner_of, tmp_path):
    by_iteration = dict(_delete_=True, by_epoch=False, max_iters=3, val_interval=3)
    options = {**SMALL, 'train_cfg': by_iteration, 'param_scheduler': []} if iterations else dict(SMALL)
    if iterations:
        options.pop('train_cfg.max_epochs')
    run(runner_of, dict(batch_augments=None, action_epoch=epoch), **options)
    log = '\n'.join(x.read_text() for x in Path(tmp_path).glob('*/*.log'))
    fits = 1 <= epoch <= (1 if iterations else 2)
    assert ('this recipe is never switched to' in log) != fits
    assert ('Switch batch augments' in log) == fits


class Mixed(Hook):
    """Whether the images of an epoch are mixed."""

    def __init__(self):
        self.found = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        data = runner.model.data_preprocessor(data_batch, True)
        scores = [x.gt_score for x in data['data_samples'] if 'gt_score' in x]
        self.found[runner.epoch] = bool(scores) and any((x > 0).sum() == 2 for x in scores)


def test_mixing_that_is_switched_on_mixes(runner_of):
    recipe = dict(action_epoch=2, batch_augments=dict(augments=[dict(type='Mixup', alpha=1.0)]))
    runner = runner_of('kd', custom_hooks=[dict(type='SwitchRecipeHook', schedule=[recipe])], **SMALL)
    mixed = Mixed()
    runner.register_hook(mixed)
    runner.train()
    assert mixed.found == {0: False, 1: True}
