"""Sizes of images and nets, and the cost of many classes, before the first step."""

import json

import pytest
import torch
from torch.utils.data import BatchSampler

from hetkd.engine.hooks import loss_cost
from hetkd.errors import UserError
from hetkd.models.distillers.configs import build_teacher
from hetkd.registry import DATA_SAMPLERS, MODELS
from tests.engine.conftest import runner_of  # noqa: F401 (a fixture)

ONE_BLOCK = dict(depth=1)
# model: size, arguments; each of a family that once kept its own size.
SIZED = {
    'eva02_tiny_patch14_224': (112, ONE_BLOCK),
    'beit_base_patch16_384': (64, ONE_BLOCK),
    'vit_small_patch16_rope_224': (96, ONE_BLOCK),
    'swinv2_cr_tiny_224': (96, dict(depths=(1, 1, 1, 1))),
    'resnet10t': (64, {}),
}


@pytest.mark.parametrize('model', SIZED)
def test_the_input_size_reaches_every_family(model):
    size, options = SIZED[model]
    net = MODELS.build(
        dict(type='TimmNet', model=model, num_classes=5, input_size=size, model_kwargs=options)
    ).eval()
    assert net.input_spec.size == (size, size) and net.stage_specs
    assert net(torch.zeros(1, 3, size, size)).logits.shape == (1, 5)


@pytest.mark.parametrize(
    'model, size', [('halonet26t', 256), ('sehalonet33ts', 256), ('eva02_tiny_patch14_336', 336)]
)
def test_a_net_of_one_size_has_it_and_teaches_on_other_images(model, size):
    options = ONE_BLOCK if 'eva' in model else {}
    config = dict(type='TimmNet', model=model, num_classes=5, checkpoint='random', model_kwargs=options)
    teacher = build_teacher(config)
    assert teacher.net.input_spec.size == (size, size)
    assert teacher(torch.zeros(1, 3, 224, 224), stages=True).logits.shape == (1, 5)


STUDENT = 'model.student'
VIT = dict(
    type='TimmNet',
    model='vit_tiny_patch16_224',
    num_classes=10,
    input_size=32,
    model_kwargs=dict(patch_size=8, embed_dim=16, depth=4, num_heads=2),
)
PACKED = [dict(type='PackInputs')]


@pytest.mark.parametrize('method', ['mldrkd', 'scratch'])
def test_images_of_another_size_are_refused_before_the_first_step(method, runner_of):  # noqa: F811
    runner = runner_of(method, **{STUDENT: VIT})
    with pytest.raises(UserError, match='expected images of 32x32 px.*got 16x16 px from train_dataloader.*'):
        runner.train()
    assert runner.iter == 0


def test_validation_images_of_another_size_are_refused_before_the_first_step(runner_of):  # noqa: F811
    fits = dict(VIT, input_size=16)
    runner = runner_of('scratch', **{STUDENT: fits, 'val_dataloader.dataset.pipeline': PACKED})
    with pytest.raises(UserError, match='expected images of 16x16 px.*got 8x8 px from val_dataloader.*'):
        runner.train()
    assert runner.iter == 0


def test_a_student_that_takes_any_size_is_warned_of(runner_of):  # noqa: F811
    runner = runner_of('scratch', **{f'{STUDENT}.input_size': 32, 'train_cfg.max_epochs': 1})
    said = []
    runner.logger.warning = said.append
    runner.train()
    assert any('built for images of 32x32 px, gets 16x16 px from train_dataloader' in x for x in said)
    assert runner.iter > 0


def test_the_check_draws_no_random_number(runner_of):  # noqa: F811
    states = []
    for hook in (dict(type='InputCheckHook'), None):
        runner = runner_of('crd', default_hooks__input_check=hook)
        runner.train_loop  # noqa: B018 (built)
        torch.manual_seed(3)
        runner.call_hook('before_train')
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_the_class_relations_cost_is_named_before_the_first_step(runner_of, monkeypatch):  # noqa: F811
    for limit, count in ((loss_cost.MANY, 0), (1, 1)):
        monkeypatch.setattr(loss_cost, 'MANY', limit)
        runner = runner_of()
        said = []
        runner.logger.warning = said.append
        runner.train_loop  # noqa: B018 (built)
        runner.call_hook('before_train')
        assert sum('loss cost' in x and '--method dist' in x for x in said) == count
    cost = next(x for x in runner.hooks if type(x).__name__ == 'LossCostHook').report['relation_cost']
    # Four stages, their fusion and the logits, and the teacher: seven relations of (10, 10) an image.
    assert cost['entries'] == runner.train_dataloader.batch_size * 7 * 100 and cost['seconds'] > 0


def test_a_batch_sampler_says_the_size_of_a_batch(runner_of, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setattr(loss_cost, 'MANY', 1)
    batches = dict(type='OnesOwn', batch_size=9)
    monkeypatch.setitem(DATA_SAMPLERS.module_dict, 'OnesOwn', BatchSamplerOfOnesOwn)
    options = {'batch_sampler': batches, 'drop_last': False, 'dataset.per_class': 3, 'num_workers': 0}
    options['persistent_workers'] = False
    options = {f'train_dataloader.{key}': x for key, x in options.items()}
    runner = runner_of(**options, train_cfg__max_epochs=1)
    runner.train()
    cost = next(x for x in runner.hooks if type(x).__name__ == 'LossCostHook').report['relation_cost']
    assert cost['entries'] == 9 * 7 * 100
    assert json.loads((tmp_path / 'results.json').read_text())['settings']['batch_size'] == 9


class BatchSamplerOfOnesOwn(BatchSampler):
    def __init__(self, sampler, batch_size, drop_last=False):
        super().__init__(sampler, batch_size, drop_last)


def test_twelve_thousand_classes_are_many_and_a_thousand_are_not():
    students = 7
    assert 8 * students * 12_000**2 > loss_cost.MANY > 256 * students * 1000**2
    few, many = (loss_cost._seconds(6, classes, 'cpu') for classes in (1000, 12_000))
    assert 50 < many / few < 400, 'grows with the square: 144'
