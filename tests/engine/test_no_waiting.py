"""A step does not wait for the device, and leaves nothing behind; see also tests/pretended_gpu."""

import gc

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

from hetkd.engine.message_hub import DeferredMessageHub
from hetkd.models.distillers.labels import batch_labels
from hetkd.registry import MODELS

# What makes the host wait for a GPU: reading a value, or a shape that depends on values.
WAITS = {'_local_scalar_dense', 'nonzero', 'masked_select', 'unique', '_unique2', 'is_nonzero', 'equal'}


class Count(TorchDispatchMode):
    """Counts the calls that would wait."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITS:
            self.calls.append(name)
        return func(*args, **(kwargs or {}))


class Steps(Hook):
    """Counts from the end of the first step to the end of the last but one: training and all hooks."""

    priority = 'LOWEST'

    def __init__(self):
        self.mode = Count()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 0:
            self.mode.__enter__()
        elif batch_idx == len(runner.train_dataloader) - 2:
            self.mode.__exit__(None, None, None)


def test_the_counter_counts():
    with Count() as mode:
        x = torch.ones(3)
        float(x.sum()), x.nonzero(), bool(x[0] > 0)
    assert mode.calls == ['_local_scalar_dense', 'nonzero', '_local_scalar_dense']


@pytest.mark.parametrize(
    'method',
    [
        'kd',
        'dkd',
        'dist',
        'rld',
        'rsd-logits',
        'fitnet',
        'cat',
        'cc',
        'rkd',
        'crd',
        'ofa',
        'rsd',
        'vkd',
        'mldrkd',
        'hcd',
    ],
)
def test_no_step_of_a_method_waits(method, runner_of, monkeypatch):
    options = {'model.losses.0.num_negatives': 8} if method == 'crd' else {}
    runner = runner_of(
        method,
        train_cfg__max_epochs=1,
        train_dataloader__dataset__per_class=20,
        optim_wrapper__optimizer={'_delete_': True, 'type': 'SGD', 'lr': 0.01},
        optim_wrapper__clip_grad=dict(max_norm=1.0),
        default_hooks__logger__interval=1000,
        default_hooks__loss_guard=None,  # on a CPU it looks at each step; its own test plays a GPU
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
        default_hooks__checkpoint__save_best=None,
        **options,
    )
    steps, reads = Steps(), []
    runner.register_hook(steps)
    read = DeferredMessageHub._read
    monkeypatch.setattr(DeferredMessageHub, '_read', lambda hub: (reads.append(runner.iter), read(hub)))
    runner.train()
    assert len(runner.train_dataloader) == 8 and steps.mode.calls == []
    assert set(reads) <= {7, 8}, 'for the checkpoint at the end; a timer asks for a time at each step'
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 8
    assert len(runner.message_hub.get_scalar('train/grad_norm').data[0]) == 8, 'all logged all the same'


@pytest.mark.parametrize('mixes', [False, True])
@pytest.mark.parametrize('lacks', [False, True])
def test_soft_labels_are_not_searched_for_missing_ones(lacks, mixes):
    augments = dict(augments=[dict(type='Mixup', alpha=0.4)]) if mixes else None
    preprocessor = MODELS.build(dict(type='SeededPreprocessor', num_classes=3, batch_augments=augments))
    samples = [DataSample().set_gt_score(torch.tensor([0.2, 0.3, 0.5])) for _ in range(4)]
    if lacks:
        samples[2].pop('gt_score')
    batch = preprocessor(dict(inputs=torch.rand(4, 3, 8, 8), data_samples=samples), True)
    with Count() as mode:
        target, labelled = batch_labels(batch['data_samples'], torch.device('cpu'))
    assert (mode.calls == []) == (not (lacks and mixes)), 'only which images were mixed is unknown'
    assert target.isnan().any() == lacks
    known = (~target.isnan().any(1)).nonzero()[:, 0].tolist()
    assert labelled is None if not lacks else labelled.tolist() == known


def test_the_hub_reads_when_it_is_asked(monkeypatch):
    hub, plain = DeferredMessageHub('deferred'), MessageHub('plain')
    assert MessageHub.get_current_instance() is hub, 'where mmengine looks for it'
    for i in range(5):
        for one in (hub, plain):
            one.update_scalar('train/loss', torch.tensor(i / 3))
            one.update_scalar('train/lr', 0.1 * i)
    assert hub._kept and 'train/loss' not in hub._log_scalars
    for key in ('train/loss', 'train/lr'):
        assert hub.get_scalar(key).data[0].tolist() == plain.get_scalar(key).data[0].tolist()
    assert not hub._kept
    hub.update_scalar('train/loss', torch.tensor(7.0))
    state = hub.state_dict()
    assert state['log_scalars']['train/loss'].current() == 7
    hub.update_scalar('train/loss', torch.tensor(8.0))
    hub.load_state_dict(state)
    assert hub.get_scalar('train/loss').current() == 7, 'what was kept is of the time before'
    monkeypatch.setattr('hetkd.engine.message_hub.LIMIT', 4)
    for i in range(10):
        hub.update_scalar('train/many', torch.tensor(float(i)))
        assert len(hub._kept) < 4
    assert hub.get_scalar('train/many').data[0].tolist() == list(map(float, range(10)))
    with pytest.raises(RuntimeError):
        hub.update_scalar('train/bad', torch.ones(2))


@pytest.mark.parametrize('method', ['mldrkd', 'crd'])
def test_nothing_grows_over_200_steps(method, runner_of):
    options = {'model.losses.0.num_negatives': 8} if method == 'crd' else {}
    runner = runner_of(
        method,
        train_cfg__max_epochs=100,
        train_cfg__val_interval=1000,
        default_hooks__logger__interval=1000,
        default_hooks__checkpoint__interval=1000,
        param_scheduler=None,
        **options,
    )
    tensors = {}

    class Look(Hook):
        priority = 'LOWEST'

        def after_train_epoch(self, runner):
            if runner.epoch + 1 in (30, 98):
                gc.collect()
                found = [x for x in gc.get_objects() if isinstance(x, torch.Tensor)]
                kept = len(runner.message_hub._kept)  # losses wait for the log, up to a bound
                tensors[runner.epoch + 1] = len(found) - kept, sum(x.numel() for x in found) - kept

    runner.register_hook(Look())
    runner.train()
    assert runner.iter == 200
    assert tensors[30] == tensors[98], 'number and entries of all tensors'
    from hetkd.engine.message_hub import LIMIT

    assert len(runner.message_hub._kept) < LIMIT
