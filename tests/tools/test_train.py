"""tools/train.py and its launchers."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hetkd.apis import load_config
from hetkd.apis.shipped import module_of
from hetkd.engine import has_bfloat16
from hetkd.errors import UserError
from tests.conftest import ROOT, free_port, tool_command
from tests.tools.conftest import CONFIG


def scalars(work_dir):
    """Logged training losses of all runs in a work dir, by iteration; the latest run wins."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                found[entry['step']] = {k: v for k, v in entry.items() if 'loss' in k}
    return found


def load_train_py():
    return module_of(ROOT / 'tools/train.py')


def test_a_run_logs_each_loss_saves_and_evaluates(short_run):
    assert {x.name for x in short_run.work_dir.glob('*.pth')} >= {'epoch_1.pth', 'epoch_2.pth'}
    assert scalars(short_run.work_dir)[2].keys() == {
        'loss',
        'loss_ce',
        'loss_dfra_logit',
        'loss_dfra_stage',
        'loss_dfra_fused',
    }
    lines = short_run.log.splitlines()
    assert len(lines) + 4 <= 40, 'of a run of six epochs'
    first, second = (x for x in lines if re.search(r'epoch \d/2  eta: ', x))
    assert all(re.search(r' loss: \d.* loss_dfra_stage: \d.* accuracy/top1: \d', x) for x in (first, second))
    assert 'MLDRKD: ResNet_CIFAR (16x16 px) learns from VisionTransformer' in short_run.log
    assert 'trained in 0:' in lines[-1] and lines[-1].endswith('epoch_2.pth'), lines[-1]
    # Other tests leave logs of their own in this work dir.
    log = Path(re.search(r'the whole log: (\S+)', short_run.log)[1])
    assert log.parent.parent == short_run.work_dir
    for hidden in (
        'System environment',
        'Config:',
        'Hooks will be',
        'FileClient',
        'Epoch(train)',
        'Epoch(val)',
    ):
        assert hidden in log.read_text() and hidden not in short_run.log, hidden
    assert not list(short_run.work_dir.glob('.*part')), 'a checkpoint is renamed when it is whole'


def test_a_run_leaves_its_record(short_run):
    record = json.loads((short_run.work_dir / 'results.json').read_text())
    assert record['finished'] and set(record['metrics']) == {'1', '2'}
    assert record['last']['epoch'] == 2 and record['settings']['config'].endswith(
        'vit-micro_cnn-micro_digits.py'
    )
    assert record['data']['images'] == 50 and record['teachers'][0]['net'] == 'VisionTransformer'


def test_a_checkpoint_holds_student_and_connectors_only(short_run):
    state = torch.load(short_run.checkpoint, weights_only=False)['state_dict']
    assert {k.split('.')[0] for k in state} == {'student', 'projector', 'fusion'}


@pytest.mark.parametrize('spelling', ['--local_rank', '--local-rank'])
def test_both_spellings_of_local_rank_are_taken(spelling):
    assert load_train_py().parse_args(['x.py', spelling, '3']).local_rank == 3


@pytest.mark.parametrize(
    'flags, resume, load_from',
    [
        ([], False, None),
        (['--resume'], True, None),
        (['--resume', 'auto'], True, None),
        (['--resume', 'a.pth'], True, 'a.pth'),
    ],
)
def test_resume_takes_auto_or_a_path(flags, resume, load_from):
    train = load_train_py()
    cfg = load_config(str(ROOT / CONFIG))
    cfg = train.merge_args(cfg, train.parse_args([CONFIG, *flags]))
    assert (cfg.resume, cfg.load_from) == (resume, load_from)
    assert cfg.work_dir == 'work_dirs/mldrkd/vit-micro_cnn-micro_digits'


@pytest.mark.parametrize('runner', ['DistillRunner', 'Runner'])
def test_resuming_automatically_goes_on_or_begins_with_load_from(runner, tmp_path):
    def start(**options):
        train = load_train_py()
        cfg = load_config(str(ROOT / CONFIG), {'runner_type': runner, **options})
        cfg = train.merge_args(cfg, train.parse_args([CONFIG, '--work-dir', str(tmp_path), '--resume']))
        return cfg.resume, cfg.load_from

    assert start() == (True, None), 'the runner says that there is none yet'
    assert start(load_from='start.pth') == (False, 'start.pth')
    torch.save({}, tmp_path / 'epoch_3.pth')
    latest = str(tmp_path / 'epoch_3.pth')
    assert start() == start(load_from='start.pth') == (True, latest)


@pytest.mark.parametrize(
    'config, name',
    [
        ('configs/mldrkd/vit-micro_cnn-micro_digits.py --method kd', 'kd/vit-micro_cnn-micro_digits'),
        ('configs/mldrkd/vit-micro_cnn-micro_digits.py --method my/own.py', 'own/vit-micro_cnn-micro_digits'),
        ('hetkd::teachers/vit-micro_digits', 'teachers/vit-micro_digits'),
        ('{tmp}/my_config.py', 'my_config'),
    ],
)
def test_each_method_has_a_work_dir_of_its_own(config, name, tmp_path):
    train = load_train_py()
    (tmp_path / 'my_config.py').touch()
    cfg = train.merge_args(
        load_config(str(ROOT / CONFIG)), train.parse_args(config.format(tmp=tmp_path).split())
    )
    assert cfg.work_dir == f'work_dirs/{name}'


def test_flags_change_the_config():
    train = load_train_py()
    args = train.parse_args(
        [CONFIG, '--no-validate', '--auto-scale-lr', '--no-pin-memory', '--no-persistent-workers']
    )
    cfg = train.merge_args(load_config(str(ROOT / CONFIG)), args)
    assert cfg.val_cfg is None and cfg.val_dataloader is None and cfg.val_evaluator is None
    assert cfg.auto_scale_lr.enable
    assert not cfg.train_dataloader.pin_memory and not cfg.train_dataloader.persistent_workers


@pytest.mark.parametrize('kind', ['OptimWrapper', 'AmpOptimWrapper', 'ApexOptimWrapper'])
def test_amp_replaces_no_other_wrapper(kind):
    train = load_train_py()
    cfg, args = load_config(str(ROOT / CONFIG)), train.parse_args([CONFIG, '--amp'])
    cfg.optim_wrapper.type = kind
    if kind == 'ApexOptimWrapper':
        with pytest.raises(UserError, match='--amp: expected OptimWrapper in optim_wrapper.type, got Apex'):
            train.merge_args(cfg, args)
    else:
        assert train.merge_args(cfg, args).optim_wrapper.type == 'AmpOptimWrapper'


def test_amp_on_a_cpu_is_bfloat16_and_is_offered(run_tool, tmp_path):
    options = ['model.teacher.checkpoint=random', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=2']
    options += ['train_dataloader.dataset.per_class=10', 'default_hooks.checkpoint.save_best=None']
    logs = []
    for i, flags in enumerate([[], ['--amp']]):
        args = [*flags, '--verbose', '--no-validate', '--work-dir', tmp_path / str(i)]
        done = run_tool('train.py', CONFIG, *args, '--cfg-options', *options)
        logs.append(done.stdout + done.stderr)
    assert ('--amp may train faster' in logs[0]) == has_bfloat16()
    assert '--amp may train faster' not in logs[1] and "type='AmpOptimWrapper'" in logs[1]
    options += ['optim_wrapper.dtype=float16', f'work_dir={tmp_path}/2']
    done = run_tool('train.py', CONFIG, '--amp', '--cfg-options', *options, check=False)
    assert done.returncode and 'optim_wrapper.dtype: expected bfloat16 on a CPU, got float16' in done.stderr


def test_a_misspelt_key_is_refused_before_anything_is_built(run_tool):
    done = run_tool('train.py', CONFIG, '--cfg-options', 'optim_wraper.type=x', check=False)
    assert done.returncode and "got 'optim_wraper'; did you mean 'optim_wrapper'?" in done.stderr


def test_a_missing_teacher_file_is_named_before_the_first_step(run_tool, tmp_path):
    options = [f'model.teacher.checkpoint={tmp_path}/no.pth']
    done = run_tool('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options, check=False)
    assert done.returncode and f'weight file: expected a file at {tmp_path}/no.pth' in done.stderr


def test_an_absent_data_set_names_the_command_that_fetches_it(run_tool, tmp_path):
    options = [
        'train_dataloader.dataset.dataset.download=False',
        f'train_dataloader.dataset.dataset.data_root={tmp_path}/none',
    ]
    config = 'configs/mldrkd/deit-t_res18_cifar100_32px.py'
    done = run_tool(
        'train.py',
        config,
        '--method',
        'scratch',
        '--no-validate',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *options,
        check=False,
    )
    assert done.returncode
    assert f'data set CIFAR100: expected its files in {tmp_path}/none' in done.stderr
    assert 'tools/misc/fetch_data.py' in done.stderr
    assert 'train_dataloader.dataset.dataset.data_root=PATH' in done.stderr


def test_an_unknown_option_of_the_algorithm_is_named(run_tool, tmp_path, tiny_teacher):
    options = [f'model.teacher.checkpoint={tiny_teacher}', 'model.stage_wieght=2']
    done = run_tool('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options, check=False)
    assert (
        done.returncode
        and 'model.stage_wieght: expected a key of MLDRKD' in done.stderr
        and 'nearest: stage_weight' in done.stderr
    )


def test_a_nan_loss_stops_the_run_with_its_name(run_tool, tmp_path, tiny_teacher):
    options = [
        f'model.teacher.checkpoint={tiny_teacher}',
        'optim_wrapper.optimizer.lr=1e30',
        'param_scheduler=None',
        'train_cfg.max_epochs=3',
    ]
    done = run_tool('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options, check=False)
    assert done.returncode and 'error: loss_' in done.stderr and 'at iteration' in done.stderr


@pytest.mark.parametrize(
    'method, train_only', [('mldrkd', 'fusion.gate'), ('crd', 'losses.loss_crd.student_')]
)
def test_a_killed_run_resumes_to_the_same_losses(method, train_only, tmp_path, run_tool, tiny_teacher):
    options = [
        f'model.teacher.checkpoint={tiny_teacher}',
        'train_cfg.max_epochs=4',
        'train_dataloader.batch_size=64',
        'train_dataloader.dataset.per_class=60',
        'train_dataloader.num_workers=1',
        'default_hooks.checkpoint.interval=1',
        'default_hooks.logger.interval=1',
    ]

    def args(work_dir, *more):
        return [
            CONFIG,
            '--method',
            method,
            '--no-validate',
            '--work-dir',
            work_dir,
            *more,
            '--cfg-options',
            *options,
            'default_hooks.checkpoint.save_best=None',
        ]

    run_tool('train.py', *args(tmp_path / 'whole'))
    whole = scalars(tmp_path / 'whole')
    assert len(whole) == 4 * 9

    broken = tmp_path / 'broken'
    command, env = tool_command('train.py', *args(broken))
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 300
    while max(scalars(broken), default=0) < 9 * 2 + 3:
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = max(scalars(broken))
    assert 9 * 2 < done < 9 * 4, 'killed within an epoch'

    run_tool('train.py', *args(broken, '--resume', 'auto'))
    resumed = scalars(broken)
    assert resumed == whole, 'the losses after the kill equal those of the unbroken run'
    final, expected = (
        torch.load(x / 'epoch_4.pth', weights_only=False)['state_dict'] for x in (broken, tmp_path / 'whole')
    )
    assert final.keys() == expected.keys() and any(k.startswith(train_only) for k in final)
    assert all(torch.equal(final[k], expected[k]) for k in final)


DUMP_HOOK = """
import hashlib, json, os
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from hetkd.registry import HOOKS

@HOOKS.register_module()
class DumpHook(Hook):
    priority = 'LOWEST'
    def after_train(self, runner):
        wrapped = runner.model
        assert isinstance(wrapped, MMDistributedDataParallel), type(wrapped)
        model = wrapped.module
        digest = hashlib.sha256()
        for value in model.state_dict().values():
            digest.update(value.numpy().tobytes())
        buckets = {id(p) for p in wrapped._module_parameters}
        content = dict(
            rank=get_rank(), world=torch.distributed.get_world_size(), state=digest.hexdigest(),
            unused=wrapped.find_unused_parameters,
            teacher_in_ddp=any(id(p) in buckets for p in model.teacher.net.parameters()),
        )
        with open(os.path.join(runner.work_dir, f'rank{get_rank()}.json'), 'w') as file:
            json.dump(content, file)
"""


@pytest.fixture
def config_with_dump(tmp_path, tiny_teacher):
    """A cut-down config whose last hook writes what each process ended with."""
    (tmp_path / 'dump_hook.py').write_text(DUMP_HOOK)
    config = tmp_path / 'cut_down.py'
    config.write_text(f"""
_base_ = ['{ROOT / CONFIG}']
model = dict(teacher=dict(checkpoint='{tiny_teacher}'))
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_epochs=1)
custom_imports = dict(imports=['dump_hook'], allow_failed_imports=False)
custom_hooks = [dict(type='DumpHook')]
""")
    return config, {'PYTHONPATH': f'{ROOT}:{tmp_path}'}


def test_two_processes_end_with_identical_weights(config_with_dump, tmp_path, run_tool):
    config, env = config_with_dump
    run_tool('dist_train.sh', config, 2, '--work-dir', tmp_path / 'run', env={**env, 'PORT': free_port()})
    ranks = [json.loads((tmp_path / 'run' / f'rank{i}.json').read_text()) for i in range(2)]
    assert ranks[0]['state'] == ranks[1]['state']
    for content in ranks:
        assert content['world'] == 2
        assert not content['teacher_in_ddp']
        assert not content['unused'], 'find_unused_parameters stays off'
    assert (tmp_path / 'run' / 'last_checkpoint').read_text() == 'epoch_1.pth'


FAKE_SRUN = """#!/usr/bin/env bash
echo "$@" > "$SRUN_LOG"
while [[ "$1" == -* ]]; do [[ "$1" == -p ]] && shift; shift; done
export SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_NODELIST=localhost MASTER_ADDR=127.0.0.1
export MASTER_PORT=29612
exec "$@"
"""


def test_slurm_train_starts_one_task_a_process(config_with_dump, tmp_path, run_tool):
    import os

    config, env = config_with_dump
    (tmp_path / 'srun').write_text(FAKE_SRUN)
    (tmp_path / 'srun').chmod(0o755)
    env |= {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'SRUN_LOG': str(tmp_path / 'srun.log'), 'GPUS': '1'}
    run_tool('slurm_train.sh', 'part', 'job', config, tmp_path / 'run', env=env)
    asked = (tmp_path / 'srun.log').read_text()
    assert '-p part --job-name=job --gres=gpu:8 --ntasks=1 --ntasks-per-node=8 --cpus-per-task=5' in asked
    assert json.loads((tmp_path / 'run' / 'rank0.json').read_text())['world'] == 1


def test_dist_train_passes_the_cluster_on(tmp_path):
    """NNODES, NODE_RANK, MASTER_ADDR and PORT reach torchrun."""
    fake = tmp_path / 'python'
    fake.write_text('#!/usr/bin/env bash\necho "$@"\n')
    fake.chmod(0o755)
    command, env = tool_command(
        'dist_train.sh',
        'c.py',
        8,
        '--amp',
        env=dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', PORT='1234'),
    )
    env['PYTHON'] = str(fake)
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert '--nnodes=2 --node_rank=1 --master_addr=10.0.0.1 --master_port=1234' in printed
    assert '--rdzv_conf=timeout=600 --nproc_per_node=8' in printed
    assert printed.strip().endswith('train.py --launcher pytorch c.py --amp')
    assert sys.executable not in printed


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_that_has_begun_no_process_is_named(launcher, tmp_path, run_tool):
    done = run_tool('train.py', CONFIG, '--work-dir', tmp_path, '--launcher', launcher, check=False)
    assert f'train.py: error: --launcher {launcher}: expected a process that it has begun' in done.stderr


def test_two_nodes_of_torchrun_end_with_identical_weights(config_with_dump, tmp_path):
    """Two launchers of one process each, as on two machines."""
    config, env = config_with_dump
    env = {**env, 'NNODES': '2', 'MASTER_ADDR': '127.0.0.1', 'PORT': '29613'}
    nodes = []
    for rank in '01':
        command, environ = tool_command(
            'dist_train.sh', config, 1, '--work-dir', tmp_path / 'run', env={**env, 'NODE_RANK': rank}
        )
        nodes.append(
            subprocess.Popen(
                command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    outputs = [node.communicate(timeout=120)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], ''.join(x[-3000:] for x in outputs)
    ranks = [json.loads((tmp_path / 'run' / f'rank{i}.json').read_text()) for i in range(2)]
    assert [x['world'] for x in ranks] == [2, 2] and ranks[0]['state'] == ranks[1]['state']


DYING_HOOK = """
import os, signal
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from hetkd.registry import HOOKS

@HOOKS.register_module()
class DyingHook(Hook):
    def __init__(self, how):
        self.how = how
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1 and get_rank() == 1:
            if self.how == 'raise':
                raise RuntimeError('the second process has failed')
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    'how, shown', [('raise', 'RuntimeError: the second process has failed'), ('kill', 'Signal 9 (SIGKILL)')]
)
def test_a_process_that_dies_ends_the_others(how, shown, config_with_dump, tmp_path, run_tool):
    config, env = config_with_dump
    (tmp_path / 'dying_hook.py').write_text(DYING_HOOK)
    (tmp_path / 'dying.py').write_text(f"""
_base_ = ['{config}']
custom_imports = dict(imports=['dump_hook', 'dying_hook'], allow_failed_imports=False)
default_hooks = dict(dying=dict(type='DyingHook', how='{how}'))
train_cfg = dict(max_epochs=1000)
""")
    begin = time.time()
    args = [tmp_path / 'dying.py', 2, '--work-dir', tmp_path / 'run']
    done = run_tool('dist_train.sh', *args, check=False, env={**env, 'PORT': '29614'})
    assert time.time() - begin < 60
    assert done.returncode != 0
    assert shown in done.stderr and 'rank      : 1' in done.stderr
