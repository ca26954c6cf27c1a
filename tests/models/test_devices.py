"""A training step on each device and precision."""

import pytest
import torch
from mmpretrain.structures import DataSample

from hetkd.functional import dfra_loss
from hetkd.registry import MODELS
from hetkd.testing import micro_net

CUDA = pytest.param(
    'cuda', marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')]
)
devices = pytest.mark.parametrize('device', ['cpu', CUDA])


@devices
@pytest.mark.parametrize('dtype', [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('algorithm', ['MLDRKD', 'HCD', 'OFA'])
def test_a_step_in_mixed_precision_has_float32_losses_and_finite_gradients(device, dtype, algorithm):
    # A normalisation of its own puts the teacher's affine on the device as well.
    teacher = micro_net('vit', checkpoint='random', mean=[0.0] * 3, std=[1.0] * 3)
    data = dict(mean=[10.0] * 3, std=[2.0] * 3)
    model = MODELS.build(
        dict(type=algorithm, teacher=teacher, student=micro_net('cnn'), data_preprocessor=data)
    )
    model = model.to(device).train()
    samples = [DataSample().set_gt_label(i) for i in range(4)]
    batch = model.data_preprocessor(
        dict(inputs=torch.rand(4, 3, 32, 32) * 255, data_samples=samples), training=True
    )
    with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
        losses = model.loss(**batch)
    model.parse_losses(losses)[0].backward()
    assert {x.dtype for x in losses.values()} == {torch.float32}
    assert {x.device.type for x in losses.values()} == {device}
    assert all(p.grad.isfinite().all() for p in model.parameters())


@devices
def test_dfra_is_the_same_on_each_device(device):
    students, teacher = torch.randn(6, 16, 20), torch.randn(16, 20)
    expected = dfra_loss(students, teacher)
    for here, there in zip(dfra_loss(students.to(device), teacher.to(device)), expected):
        torch.testing.assert_close(here.cpu(), there, atol=1e-5, rtol=1e-4)
