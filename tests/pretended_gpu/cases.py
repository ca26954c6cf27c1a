"""Training steps, whole runs and tools on the pretended GPU: ``python -m tests.pretended_gpu.cases OUT``.

OUT gets one JSON object: for each case its error (or None) and what made the host wait.
"""

import json
import os
import sys
import tempfile
import traceback
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py')


def method(*losses, **options):
    on_logits = ('KDLoss', 'DKDLoss', 'DISTLoss', 'RLDLoss', 'RSDLogitLoss')
    kind = 'LogitDistiller' if losses[0] in on_logits else 'FeatureDistiller'
    return dict(type=kind, losses=[dict(type=x) for x in losses], **options)


METHODS = dict(
    kd=method('KDLoss'),
    dkd=method('DKDLoss'),
    dist=method('DISTLoss'),
    fitnet=method('HintLoss'),
    at=method('ATLoss'),
    cat=method('CATLoss'),
    cc=method('CCLoss'),
    rkd=method('RKDLoss'),
    crd=dict(
        method('CRDLoss', embedding_matcher=dict(type='ContrastHead')),
        losses=[dict(type='CRDLoss', num_negatives=8)],
    ),
    rsd=method('RSDLoss', embedding_matcher=dict(type='AAD')),
    ofa=dict(type='OFA'),
    mldrkd=dict(type='MLDRKD'),
    hcd=dict(type='HCD'),
    scratch=dict(type='NetClassifier'),
    lskd=dict(type='LogitDistiller', losses=[dict(type='KDLoss', standardise=True)], ce_weight=0.1),
    rld=method('RLDLoss'),
    rsdlogits=method('RSDLogitLoss'),
    vkd=method(
        'VkDLoss',
        logit_losses=[dict(type='KDLoss', temperature=1.0)],
        embedding_matcher=dict(type='OrthogonalProjector'),
    ),
)
MIXING = ['Mixup', 'CutMix', 'ResizeMix']
# Each method gets two of the families; all pairs of neighbours come up.
FAMILIES = ['cnn', 'vit', 'mlp', 'swin', 'vmamba', 'vim']
PAIRS = {name: (FAMILIES[i % 6], FAMILIES[(i + 1) % 6]) for i, name in enumerate(METHODS)}
BATCHED = {
    'train_dataloader.dataset': dict(
        _delete_=True, type='InMemory', dataset=dict(type='Digits', per_class=10)
    ),
    'data_preprocessor.type': 'BatchViewPreprocessor',
    'data_preprocessor.train_view': dict(
        type='BatchRandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0)
    ),
}
RUNS = {
    'batched views, bfloat16, clipping, average weights': (
        'mldrkd',
        {
            **BATCHED,
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.dtype': 'bfloat16',
            'optim_wrapper.clip_grad': dict(max_norm=1.0),
            'default_hooks.student_ema': dict(type='StudentEMAHook', momentum=0.1),
        },
    ),
    'padded views, float16, accumulation, channels last': (
        'hcd',
        {
            **BATCHED,
            'data_preprocessor.train_view': dict(type='BatchRandomCrop', padding=2),
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.accumulative_counts': 2,
            'model.student.channels_last': True,
            'model.teacher.dtype': 'float16',
        },
    ),
    'memory banks, deterministic': (
        'crd',
        {'model.losses.0.num_negatives': 8, 'randomness': dict(seed=0, deterministic=True)},
    ),
}


def build(name, student='cnn', teacher='vit', losses=None, **options):
    """A method with nets of two families on the device, its optimizer wrapper and its batches."""
    import torch
    from mmengine.optim import OptimWrapper

    from hetkd.engine import AmpOptimWrapper
    from hetkd.registry import MODELS
    from hetkd.testing import micro_net

    config = dict(METHODS[name], student=micro_net(student))
    config['student']['channels_last'] = options.get('channels_last', False)
    if losses is not None:
        config['losses'] = losses
    if name != 'scratch':
        net = micro_net(teacher, checkpoint='random', mean=[1.0] * 3, std=[3.0] * 3)
        config['teacher'] = net
    data = dict(mean=[10.0] * 3, std=[2.0] * 3, num_classes=10)
    if options.get('mixes'):
        data['batch_augments'] = dict(augments=dict(type=options['mixes'], alpha=1.0))
    model = MODELS.build(dict(config, data_preprocessor=data)).to('cuda').train()
    for part in model.modules():
        if hasattr(part, 'prepare_data'):
            part.prepare_data(torch.arange(40) % 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    amp = options.get('amp')
    wrapper = AmpOptimWrapper(dtype=amp, optimizer=optimizer) if amp else OptimWrapper(optimizer=optimizer)
    wrapper.initialize_count_status(model, 0, 10)
    return model, wrapper


def batch(labelled=8):
    """Eight images; the last ones have a label."""
    import torch
    from mmpretrain.structures import DataSample

    images = (torch.rand(8, 3, 32, 32) * 255).byte().pin_memory()  # as the data loader gives them
    samples = [DataSample(metainfo=dict(sample_idx=i)) for i in range(8)]
    for i in range(8 - labelled, 8):
        samples[i].set_gt_label(i % 10)
    return dict(inputs=images, data_samples=samples)


def steps(name, deterministic=False, labelled=8, **options):
    """Two training steps, the second recorded, and a validation step."""
    import torch

    from . import device

    model, wrapper = build(name, **options)
    if deterministic:
        torch.use_deterministic_algorithms(True)
        os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'
    model.train_step(batch(labelled), wrapper)
    later = batch(labelled)
    with device.recording() as events:
        logged = model.train_step(later, wrapper)
        found = list(events)
    left = [key for key, x in model.state_dict().items() if x.device.type != 'cuda']
    left += [key for key, x in logged.items() if torch.is_tensor(x) and x.device.type != 'cuda']
    assert not left, f'on the CPU: {left}'
    model.eval()
    with torch.no_grad():
        model.val_step(batch())
    return found


def config_of(name, folder, options, cached=None):
    from hetkd.apis import load_config
    from hetkd.apis.launch import LOADERS, complete_loaders

    base = {
        'model.teacher.checkpoint': 'random',
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'train_dataloader.dataset.per_class': 10,
        'train_dataloader.batch_size': 20,
        'default_hooks.logger.interval': 1000,
    }
    if 'train_dataloader.dataset' in options:
        del base['train_dataloader.dataset.per_class']
    cfg = load_config(CONFIG, {**base, **options}, name)
    if cached is not None:
        cfg.model.teacher.cache = cached
    cfg.work_dir, cfg.experiment_name, cfg.resume = str(folder), folder.name, False
    complete_loaders(cfg, LOADERS)
    return cfg


def run(name, options, folder, cached=None):
    """A run with all hooks and its validation, recorded from its first step's end to its last's begin."""
    from mmengine.hooks import Hook

    from hetkd.registry import RUNNERS

    from . import device

    found = []

    class Record(Hook):
        priority = 'LOWEST'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if batch_idx == 0:
                device.start()
            elif batch_idx == len(runner.train_dataloader) - 2:
                device.stop()
                found.extend(device._events)

    runner = RUNNERS.build(config_of(name, folder, options, cached))
    runner.register_hook(Record())
    runner.train()
    assert len(runner.train_dataloader) == 5
    metrics = json.loads((folder / 'results.json').read_text())['metrics']['1']
    assert 'accuracy/top1' in metrics and 'teacher/agreement' in metrics
    assert next(runner.model.parameters()).device.type == 'cuda'
    return found


def cached_teacher(folder):
    """A cache that is written on the device, and a run with it."""
    from hetkd.teacher_cache import write_cache

    options = {
        'data_preprocessor.num_classes': 10,
        'data_preprocessor.batch_augments': dict(augments=dict(type='Mixup', alpha=1.0)),
        'default_hooks.teacher_check.allow_chance': True,  # a cache is not called random
    }
    write_cache(config_of('rkd', folder / 'writing', options), str(folder / 'cache'), views=1)
    return run('rkd', options, folder / 'run', cached=str(folder / 'cache'))


def preflight(folder):
    out = folder / 'report.json'
    options = ['--cfg-options', 'model.teacher.checkpoint=random', 'train_dataloader.dataset.per_class=10']
    tool('preflight.py', CONFIG, '--steps', 2, '--images', 20, '--out', out, *options)
    assert json.loads(out.read_text())['terms']
    return []


def picture(folder):
    """An analysis tool with ``--device``."""
    out = folder / 'cam.png'
    options = ['--cfg-options', 'model.teacher.checkpoint=random']
    tool(
        'visualization/vis_cam.py',
        3,
        CONFIG,
        'random',
        '--teacher',
        '--device',
        'cuda',
        '--save-path',
        out,
        *options,
    )
    assert out.exists()
    return []


def tool(name, *args):
    from tests.conftest import tool_main

    tool_main(name)(list(map(str, args)))


@contextmanager
def replaced(owner, name, value):
    real = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, real)


def fault_of_the_hub(folder):
    """The timer asks for a time at each step, and the hub reads all losses that it keeps."""
    from mmengine.logging import MessageHub

    from hetkd.engine.message_hub import DeferredMessageHub

    with replaced(DeferredMessageHub, 'get_scalar', MessageHub.get_scalar):
        return run('kd', {}, folder)


def fault_of_an_index():
    """An index that stays on the CPU."""
    from hetkd.models.losses import crd

    with replaced(crd, 'to_device', lambda value, device: value):
        return steps('crd')


def fault_of_memory():
    """Labels from memory that is not pinned."""
    from hetkd.models.preprocessors import seeded

    with replaced(seeded, 'to_device', lambda value, device: value.to(device, non_blocking=True)):
        return steps('kd')


def fault_of_a_copy():
    """mmpretrain's preprocessor, which waits for its copies."""
    from mmpretrain.models import ClsDataPreprocessor

    from hetkd.models.preprocessors import SeededPreprocessor

    with replaced(SeededPreprocessor, 'forward', ClsDataPreprocessor.forward):
        return steps('kd', mixes='Mixup')


def fault_of_a_workspace(folder):
    """mmengine's deterministic mode, which gives cuBLAS no workspace."""
    from mmengine.runner import Runner

    from hetkd.engine import DistillRunner

    with replaced(DistillRunner, 'set_randomness', Runner.set_randomness):
        return run('kd', {'randomness': dict(seed=0, deterministic=True)}, folder)


def fault_in_a_loss(change, **options):
    """A loss that does something to the student's logits."""
    from hetkd.models.losses import KDLoss

    real = KDLoss.forward

    def forward(self, student, teacher, *args, **kwargs):
        return real(self, student, teacher, *args, **kwargs) + change(student)

    with replaced(KDLoss, 'forward', forward):
        return steps('kd', **options)


def cases(folder):
    """All cases by name."""
    import torch
    import torch.nn.functional as F

    found = {}
    for i, (name, (student, teacher)) in enumerate(PAIRS.items()):
        found[f'{name}, {teacher} to {student}'] = partial(steps, name, student=student, teacher=teacher)
        found[f'{name}, mixed, float16'] = partial(steps, name, mixes=MIXING[i % 3], amp='float16')
        found[f'{name}, deterministic, bfloat16'] = partial(
            steps, name, deterministic=True, amp='bfloat16', student=teacher, teacher='cnn'
        )
        found[f'{name}, few labels, bfloat16'] = partial(steps, name, labelled=3, amp='bfloat16')
    found['hcd, no label, deterministic'] = partial(steps, 'hcd', labelled=0, deterministic=True)
    found['hcd, few labels, mixed'] = partial(steps, 'hcd', labelled=6, mixes='Mixup')
    for i, (name, (kind, options)) in enumerate(RUNS.items()):
        found[f'run: {name}'] = partial(run, kind, options, folder / f'run{i}')
    found['run: cached teacher'] = partial(cached_teacher, folder)
    found['tool: preflight'] = partial(preflight, folder)
    found['tool: vis_cam'] = partial(picture, folder)
    found['fault: the hub reads each step'] = partial(fault_of_the_hub, folder / 'hub')
    found['fault: an index on the CPU'] = fault_of_an_index
    found['fault: memory that is not pinned'] = fault_of_memory
    found['fault: copies that wait'] = fault_of_a_copy
    found['fault: no workspace of cuBLAS'] = partial(fault_of_a_workspace, folder / 'workspace')
    found['fault: item in a loss'] = partial(fault_in_a_loss, lambda x: 0 * x.mean().item())
    found['fault: a mask in a loss'] = partial(fault_in_a_loss, lambda x: 0 * x[x > 0].sum())
    found['fault: a constant on the CPU'] = partial(fault_in_a_loss, lambda x: (x * torch.ones(10)).sum())
    found['fault: not deterministic'] = partial(
        fault_in_a_loss, lambda x: F.adaptive_avg_pool2d(x[None], 2).sum(), deterministic=True
    )
    return found


def main(out):
    import torch
    from mmengine.registry import init_default_scope

    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases(Path(folder)).items():
            init_default_scope('hetkd')
            torch.manual_seed(0)
            error, events = None, []
            try:
                events = case()
            except Exception as caught:
                trace = traceback.format_exc()[-2000:]
                error = f'{type(caught).__name__}: {caught}\n{trace}'
            finally:
                torch.use_deterministic_algorithms(False)
                os.environ.pop('CUBLAS_WORKSPACE_CONFIG', None)
            results[name] = dict(error=error, events=events)
    Path(out).write_text(json.dumps(results))


if __name__ == '__main__':
    from tests.pretended_gpu import device

    device.install()
    main(sys.argv[1])
