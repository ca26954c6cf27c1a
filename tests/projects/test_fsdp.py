"""Sharded training: two processes of FSDP against two of DDP."""

import json
from types import SimpleNamespace

import pytest
import torch

from tests.conftest import ROOT, tool_runner
from tests.tools.conftest import CONFIG
from tests.tools.test_train import scalars

PROJECT = ROOT / 'projects/fsdp'
EXTRA = {
    # What a strategy on flat pieces gets wrong: norms over all processes, and a matrix is no vector.
    'optim_wrapper.clip_grad.max_norm': 0.1,
    'optim_wrapper.paramwise_cfg.flat_decay_mult': 0.0,
    'train_cfg.max_epochs': 2,
    'train_cfg.val_interval': 2,
    'train_dataloader.batch_size': 16,
    'train_dataloader.dataset.per_class': 10,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.logger.interval': 1,
}

SHARD_HOOK = """
import json, os
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from torch.distributed.tensor import DTensor
from hetkd.registry import HOOKS

@HOOKS.register_module()
class ShardHook(Hook):
    priority = 'LOWEST'
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        assert not runner.model.teacher.net.training
    def after_train(self, runner):
        model, optimizer = runner.model, runner.optim_wrapper.optimizer
        optimised = [p for group in optimizer.param_groups for p in group['params']]
        teacher = list(model.teacher.net.parameters())
        content = dict(
            world=runner.world_size,
            whole=sum(p.numel() for p in model.parameters()),
            local=sum(p.to_local().numel() for p in model.parameters()),
            state=sum(
                x.to_local().numel() for s in optimizer.state.values() for x in s.values()
                if isinstance(x, DTensor)
            ),
            decay=sorted({(g['params'][0].ndim > 1, g['weight_decay']) for g in optimizer.param_groups}),
            teacher_is_whole=not any(isinstance(p, DTensor) for p in teacher),
            teacher_is_optimised=bool({id(p) for p in teacher} & {id(p) for p in optimised}),
        )
        with open(os.path.join(runner.work_dir, f'rank{get_rank()}.json'), 'w') as file:
            json.dump(content, file)
"""


@pytest.fixture(scope='module')
def launch(tmp_path_factory, tiny_teacher):
    """Run the cut-down config with two processes, sharded or not."""
    folder = tmp_path_factory.mktemp('fsdp')
    (folder / 'shard_hook.py').write_text(SHARD_HOOK)
    (folder / 'sharded.py').write_text(f"""
_base_ = '{PROJECT}/configs/fsdp_vit-micro_cnn-micro_digits.py'
custom_imports = dict(imports=['hetkd_fsdp', 'shard_hook'], allow_failed_imports=False)
default_hooks = dict(shard=dict(type='ShardHook'))
""")

    def run(name, port, config=ROOT / CONFIG, *flags):
        options = [f'{key}={value}' for key, value in EXTRA.items()]
        done = tool_runner(
            'dist_train.sh', config, 2, '--work-dir', folder / name, *flags,
            '--cfg-options', f'model.teacher.checkpoint={tiny_teacher}', *options,
            env={'PYTHONPATH': f'{ROOT}:{PROJECT}:{folder}', 'PORT': port},
        )  # fmt: skip
        return SimpleNamespace(work_dir=folder / name, log=done.stdout + done.stderr)

    run.sharded_config = folder / 'sharded.py'
    return run


@pytest.fixture(scope='module')
def sharded(launch):
    """Two epochs of FSDP."""
    return launch('sharded', '29631', launch.sharded_config)


@pytest.fixture(scope='module')
def ddp(launch):
    """The same run by DDP."""
    return launch('ddp', '29632')


def checkpoint(run, epoch):
    return torch.load(run.work_dir / f'epoch_{epoch}.pth', weights_only=True)


def assert_equal_losses(found, expected):
    assert found.keys() == expected.keys()
    for step, losses in expected.items():
        assert found[step] == pytest.approx(losses, rel=1e-5), f'iteration {step}'


def test_each_process_holds_half_of_the_student_and_the_whole_teacher(sharded):
    ranks = [json.loads((sharded.work_dir / f'rank{i}.json').read_text()) for i in range(2)]
    assert sum(x['local'] for x in ranks) == ranks[0]['whole']
    for content in ranks:
        assert content['world'] == 2
        assert content['local'] <= 0.51 * content['whole']
        assert content['state'] == 2 * content['local'], "AdamW's two moments"
        assert content['decay'] == [[False, 0.0], [True, 0.05]], 'a shard of a matrix is a matrix'
        assert content['teacher_is_whole'] and not content['teacher_is_optimised']


def test_the_losses_are_those_of_ddp(sharded, ddp):
    expected = scalars(ddp.work_dir)
    assert len(expected) == 2 * 3 and set(expected[1]) >= {'loss_ce', 'loss_dfra_stage'}
    assert_equal_losses(scalars(sharded.work_dir), expected)


def test_the_checkpoint_is_the_one_of_ddp(sharded, ddp):
    found, expected = checkpoint(sharded, 2), checkpoint(ddp, 2)
    assert found.keys() == expected.keys() and list(found['state_dict']) == list(expected['state_dict'])
    assert {k.split('.')[0] for k in found['state_dict']} == {'student', 'projector', 'fusion'}
    for name, value in expected['state_dict'].items():
        assert type(found['state_dict'][name]) is torch.Tensor
        torch.testing.assert_close(found['state_dict'][name], value, rtol=1e-3, atol=1e-5)
    states = found['optimizer']['state'], expected['optimizer']['state']
    assert states[0].keys() == states[1].keys() and states[0]
    for index, state in states[1].items():
        assert {k: v.shape for k, v in states[0][index].items()} == {k: v.shape for k, v in state.items()}
        assert type(states[0][index]['exp_avg']) is torch.Tensor
    assert not list(sharded.work_dir.glob('.*part'))


def test_its_student_is_exported_and_tested(launch, sharded, tmp_path):
    out = tmp_path / 'student.pth'
    file = sharded.work_dir / 'epoch_2.pth'
    tool_runner('model_converters/export_student.py', ROOT / CONFIG, file, out)
    options = ['--work-dir', tmp_path, '--out', tmp_path / 'metrics.json', '--out-item', 'metrics']
    env = {'PYTHONPATH': f'{ROOT}:{PROJECT}:{launch.sharded_config.parent}'}
    tool_runner('test.py', launch.sharded_config, out, *options, env=env)
    top1 = json.loads((tmp_path / 'metrics.json').read_text())['accuracy/top1']
    assert top1 == json.loads((sharded.work_dir / 'results.json').read_text())['last']['value']


def test_it_resumes_where_it_was(launch, sharded):
    flags = ['--resume', sharded.work_dir / 'epoch_1.pth']
    resumed = launch('resumed', '29633', launch.sharded_config, *flags)
    whole = scalars(sharded.work_dir)
    assert_equal_losses(scalars(resumed.work_dir), {step: whole[step] for step in (4, 5, 6)})


def test_a_sharded_run_begins_with_a_students_weights(launch, ddp):
    folder, state = ddp.work_dir.parent, checkpoint(ddp, 2)['state_dict']
    start = {k.removeprefix('student.model.'): v for k, v in state.items() if k.startswith('student.')}
    torch.save(start, folder / 'student.pth')
    path = folder / 'start.py'
    path.write_text(
        f"_base_ = '{launch.sharded_config}'\nload_from = '{folder / 'student.pth'}'\n"
        'optim_wrapper = dict(optimizer=dict(lr=0.0, weight_decay=0.0))\nparam_scheduler = []\n'
    )
    run = launch('start', '29635', path)
    assert "student.pth: the student's weights; train-only parts" in run.log
    found = checkpoint(run, 2)['state_dict']
    weights = {key for key in start if 'running' not in key and 'batches' not in key}
    assert weights and all(torch.equal(found[f'student.model.{key}'], start[key]) for key in weights)
