"""The baselines' registered losses hand their options on."""

import pytest
import torch

from hetkd import functional
from hetkd.clock import set_clock
from hetkd.errors import UserError
from hetkd.functional import standardise_logits
from hetkd.models.nets import NetOutput
from hetkd.registry import MODELS

S, T, Y = torch.randn(4, 6), torch.randn(4, 6), torch.arange(4)

LOGIT = [
    (dict(type='DKDLoss'), lambda: functional.dkd_loss(S, T, Y)),
    (dict(type='DKDLoss', alpha=2, beta=3, temperature=1), lambda: functional.dkd_loss(S, T, Y, 2, 3, 1)),
    (dict(type='DISTLoss'), lambda: functional.dist_loss(S, T)),
    (dict(type='DISTLoss', beta=2, gamma=3, temperature=4), lambda: functional.dist_loss(S, T, 2, 3, 4)),
    (dict(type='OFALoss'), lambda: functional.ofa_loss(S, T, Y)),
    (dict(type='OFALoss', eps=1.5, temperature=2), lambda: functional.ofa_loss(S, T, Y, 1.5, 2)),
    (dict(type='RLDLoss'), lambda: functional.rld_loss(S, T, Y)),
    (
        dict(type='RLDLoss', alpha=2, beta=3, temperature=2, confidence_temperature=3),
        lambda: functional.rld_loss(S, T, Y, 2, 3, 2, 3),
    ),
    (dict(type='RSDLogitLoss', loss_weight=1), lambda: functional.rsd_loss(S, T)),
    (dict(type='RSDLogitLoss', kappa=0.5), lambda: functional.rsd_loss(S, T, 0.5)),
    (
        dict(type='KDLoss', temperature=2, standardise=True),
        lambda: functional.kd_loss(standardise_logits(S), standardise_logits(T), 2),
    ),
]
FEATURE = [
    (dict(type='RKDLoss'), lambda: functional.rkd_loss(S, T)),
    (dict(type='RKDLoss', distance_weight=1, angle_weight=2), lambda: functional.rkd_loss(S, T, 1, 2)),
    (dict(type='CCLoss'), lambda: 100 * functional.cc_loss(S, T)),
    (dict(type='CCLoss', gamma=1.0, order=3, loss_weight=1), lambda: functional.cc_loss(S, T, 1.0, 3)),
    (dict(type='RSDLoss'), lambda: 0.1 * functional.rsd_loss(S, T)),
    (dict(type='RSDLoss', kappa=0.5, loss_weight=2), lambda: 2 * functional.rsd_loss(S, T, 0.5)),
    (dict(type='VkDLoss'), lambda: functional.vkd_loss(S, T)),
    (dict(type='VkDLoss', loss_weight=2), lambda: 2 * functional.vkd_loss(S, T)),
    (dict(type='CATLoss'), lambda: 400 * functional.cat_loss(MAP_S, MAP_T)),
    (dict(type='CATLoss', resolution=1, loss_weight=2), lambda: 2 * functional.cat_loss(MAP_S, MAP_T, 1)),
    (dict(type='ATLoss', loss_weight=1.0), lambda: 2 * functional.at_loss(MAP_S, MAP_T)),
]
MAP_S, MAP_T = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)


@pytest.mark.parametrize(
    'config, expected', LOGIT, ids=lambda x: str(x)[:60] if isinstance(x, dict) else 'loops'
)
@pytest.mark.parametrize('weight', [1.0, 0.5])
def test_logit_losses(config, expected, weight):
    loss = MODELS.build(dict(config, loss_weight=weight))
    torch.testing.assert_close(loss(S, T, Y), weight * expected())


@pytest.mark.parametrize(
    'config, expected', FEATURE, ids=lambda x: str(x)[:60] if isinstance(x, dict) else 'loops'
)
def test_feature_losses(config, expected):
    student, teacher = NetOutput(S, (MAP_S,) * 2, S, S, MAP_S), NetOutput(T, (MAP_T,) * 2, T, T, MAP_T)
    torch.testing.assert_close(MODELS.build(config)(student, teacher, Y), expected())


@pytest.mark.parametrize('name', ['DKDLoss', 'DISTLoss', 'OFALoss', 'KDLoss', 'RLDLoss'])
def test_a_temperature_of_zero_is_refused_when_built(name):
    with pytest.raises(UserError, match='temperature: expected'):
        MODELS.build(dict(type=name, temperature=0))


def test_rld_rises_over_its_first_epochs():
    loss, full = MODELS.build(dict(type='RLDLoss', warmup=4)), functional.rld_loss(S, T, Y)
    torch.testing.assert_close(loss(S, T, Y), full)
    for epoch, share in ((0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)):
        set_clock(0, epoch)
        torch.testing.assert_close(loss(S, T, Y), share * full)
    set_clock(0, 0)
    torch.testing.assert_close(MODELS.build(dict(type='RLDLoss', warmup=0))(S, T, Y), full)
