"""Parameters with the same options share a group of the optimizer, and are updated as mmengine's own are."""

import copy

import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor as OneGroupEach
from mmengine.optim import build_optim_wrapper

from hetkd.engine.parameter_groups import DefaultOptimWrapperConstructor, joined
from hetkd.registry import MODELS
from hetkd.testing import micro_net

PARAMWISE = dict(
    flat_decay_mult=0.0,
    bias_lr_mult=2.0,
    custom_keys={'pos_embed': dict(decay_mult=0.0), 'blocks.1': dict(lr_mult=0.5, betas=(0.8, 0.9))},
)


def config(**more):
    return dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.1), **more)


def net():
    torch.manual_seed(0)
    return MODELS.build(micro_net('vit'))


def options_of(wrapper, model):
    """Options by parameter's name."""
    names = {id(x): name for name, x in model.named_parameters()}
    return {
        names[id(x)]: {key: value for key, value in group.items() if key != 'params'}
        for group in wrapper.param_groups
        for x in group['params']
        if id(x) in names  # mmengine adds one that tells the rate
    }


def test_a_config_gets_few_groups_with_the_options_of_mmengines():
    one, two = net(), net()
    few = build_optim_wrapper(one, config(paramwise_cfg=PARAMWISE))
    many = OneGroupEach(config(), PARAMWISE)(two)
    assert options_of(few, one) == options_of(many, two)
    assert len(many.param_groups) - 1 == len(list(two.parameters()))
    options = options_of(few, one).values()
    assert len(few.param_groups) - 1 == len({str(x) for x in options}) == 5


def test_updates_are_those_of_mmengines_groups():
    one = net()
    two = copy.deepcopy(one)
    few = build_optim_wrapper(one, config(paramwise_cfg=PARAMWISE))
    wrappers = few, OneGroupEach(config(), PARAMWISE)(two)
    for batch in torch.randn(3, 4, 3, 32, 32):
        for model, wrapper in zip((one, two), wrappers):
            wrapper.update_params(model(batch).logits.square().mean())
    for mine, other in zip(one.parameters(), two.parameters()):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


@pytest.mark.parametrize('duplicates', [True, False])
def test_shared_parameters_are_mmengines(duplicates):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    model[1].weight = model[0].weight
    build = DefaultOptimWrapperConstructor(config(), dict(flat_decay_mult=0.0, bypass_duplicate=duplicates))
    if duplicates:
        assert [len(x['params']) for x in build(model).param_groups[:-1]] == [1, 2]
    else:
        with pytest.raises(ValueError, match='more than one parameter group'):
            build(model)


def test_the_first_of_each_kind_gives_the_order():
    a, b, c = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    groups = joined([dict(params=[a]), dict(params=[b], lr=0.1), dict(params=[c])])
    assert [[id(x) for x in group['params']] for group in groups] == [[id(a), id(c)], [id(b)]]
    assert [set(x) for x in groups] == [{'params'}, {'params', 'lr'}]
