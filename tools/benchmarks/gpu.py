"""What only a GPU shows, in one command: tests, tables and short real trainings, in under 25 minutes.

CIFAR-100 must be in place (tools/misc/fetch_data.py). Each part writes OUT/PART.json when it ends; its output
goes to OUT/PART.log. Rerun the same command to do what is missing: an interrupted training is resumed. No
part goes on once the minutes are over. ``--tiny`` rehearses all parts with tiny nets and few images.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from measure import DEVICE, machine

from hetkd.apis.cli import run_tool, tool_parser
from hetkd.ops.kernel import load_kernel
from hetkd.utils.whole_file import write_whole

ROOT = Path(__file__).resolve().parents[2]
METHODS = ('scratch', 'kd', 'ofa', 'mldrkd', 'hcd')
ONE_PROCESS = dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT='29531')
TRAINING = """
train_dataloader = dict(batch_size={batch_size})
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=1, end={epochs}, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs={epochs}, val_interval={epochs})
default_hooks = dict(checkpoint=dict(interval=1, save_best=None))
"""


class Size(NamedTuple):
    """How large all parts are."""

    base: tuple[str, ...]  # pieces of configs/_base_: data, recipe, teacher, student
    teacher_epochs: int
    epochs: int
    batch_size: int
    tests: tuple[str, ...]
    scan: tuple
    losses: tuple
    step: tuple
    input: tuple
    options: tuple[str, ...] = ()  # of the students' training


FULL = Size(
    (
        'datasets/cifar100_32px',
        'schedules/adamw_10e',
        'default_runtime',
        'nets/deit-t-p4',
        'nets/res18-cifar',
    ),
    teacher_epochs=40,
    epochs=20,
    batch_size=256,
    tests=('tests',),
    scan=('--shapes', '8x384x16x196', '8x384x1x196', '4x384x1x3136'),
    losses=('--rounds', 5, '--no-memory'),
    step=(
        'configs/mldrkd/swin-t_res18_cifar100.py',
        'configs/hcd/swin-t_res18_cifar100.py',
        '--batch-size',
        64,
    ),
    input=tuple(f'configs/_base_/datasets/cifar100_{x}.py' for x in ('224_per_image', '224', '32px')),
)
TINY = Size(
    ('datasets/digits_5shot', 'schedules/digits', 'digits_runtime', 'nets/vit-micro', 'nets/cnn-micro'),
    teacher_epochs=2,
    epochs=2,
    batch_size=25,
    tests=('tests/models/test_devices.py',),
    scan=('--shapes', '1x8x2x8', '--rounds', 1, '--no-memory'),
    losses=('--shapes', '6x50', '--losses', 'kd', 'rkd', '--rounds', 1, '--no-memory'),
    step=(
        'configs/mldrkd/vit-micro_cnn-micro_digits.py',
        '--batch-size',
        4,
        '--image-size',
        16,
        '--rounds',
        1,
        '--no-memory',
    ),
    input=('configs/_base_/datasets/digits.py', '--rounds', 1, '--batches', 1),
    options=('--cfg-options', 'default_hooks.teacher_check.allow_chance=True'),
)


def tool(name, *args):
    """A command that runs a file of tools/."""
    return [sys.executable, str(ROOT / 'tools' / name), *map(str, args)]


def write_configs(out, size):
    """Configs of the teacher and of the students in OUT."""
    (*data, teacher, student) = size.base
    names = ['_' + x.split('/')[1].replace('-', '_') for x in (teacher, student)]

    def write(name, pieces, model, epochs):
        base = [str(ROOT / f'configs/_base_/{x}.py') for x in pieces]
        text = TRAINING.format(batch_size=size.batch_size, epochs=epochs)
        write_whole(out / name, f'_base_ = {base}\nmodel = {model}\n{text}')

    own = f"dict(type='NetClassifier', student=_base_.{names[0]})"
    write('teacher.py', [*data, teacher], own, size.teacher_epochs)
    file = str(out / 'teacher.pth')
    pair = f'dict(teacher=dict(_base_.{names[0]}, checkpoint={file!r}), student=_base_.{names[1]})'
    write('students.py', [*data, teacher, student, 'methods/kd'], pair, size.epochs)


def parts_of(out, size):
    """Commands by part."""
    found = {}
    found['tests'] = [
        [sys.executable, '-m', 'pytest', '-q', '-m', 'cuda', '-p', 'no:cacheprovider', *size.tests]
    ]
    for name, backend in (('scan_plain', 'torch'), ('scan_kernel', 'cuda')):
        found[name] = [tool('benchmarks/scan.py', *size.scan, '--backend', backend, '--out', raw(out, name))]
    config, students = out / 'teacher.py', out / 'students.py'
    work = out / 'teacher'
    found['nccl'] = [
        tool(
            'train.py', config, '--work-dir', out / 'nccl', '--resume', '--launcher', 'pytorch',
            '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1',
        )
    ]  # fmt: skip
    found['teacher'] = [
        tool('train.py', config, '--work-dir', work, '--resume'),
        tool(
            'model_converters/export_student.py',
            config,
            work / f'epoch_{size.teacher_epochs}.pth',
            out / 'teacher.pth',
        ),
    ]
    for method in METHODS:
        flags = ('--method', method, '--work-dir', out / method, '--resume')
        found[method] = [tool('train.py', students, *flags, *size.options)]
    compiled = ('model.student.compile=True', 'model.teacher.compile=True')
    for name, options in dict(
        step_float32=(),
        step_bfloat16=('--amp', 'bfloat16'),
        step_float16=('--amp', 'float16' if DEVICE == 'cuda' else 'bfloat16'),  # a CPU has the latter alone
        step_compiled=('--amp', 'bfloat16', '--cfg-options', *compiled),
    ).items():
        found[name] = [tool('benchmarks/step.py', *size.step, '--out', raw(out, name), *options)]
    for name in ('losses', 'input'):
        command = tool(f'benchmarks/{name}.py', *getattr(size, name), '--out', raw(out, name))
        found[name] = [command]
    return found


def raw(out, name):
    return out / 'raw' / f'{name}.json'


def result_of(out, name):
    """What a part's commands left."""
    if name == 'tests':
        return (out / 'tests.log').read_text().strip().splitlines()[-1]
    record = out / name / 'results.json'
    return json.loads((record if record.exists() else raw(out, name)).read_text())


def execute(command, log, env, timeout):
    """Run a command; its exit status, or None where the time was over."""
    try:
        return subprocess.run(
            command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, timeout=timeout
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def run_part(out, name, commands, deadline):
    """Run a part and write its JSON; whether it has ended well."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), **(ONE_PROCESS if name == 'nccl' else {})}
    report = dict(machine(), part=name, commands=[' '.join(x) for x in commands])
    if DEVICE == 'cuda':
        report['gpu'] = torch.cuda.get_device_name()
    kernel, reason = load_kernel()
    if name == 'scan_kernel' and kernel is None:
        write_whole(out / f'{name}.json', json.dumps(dict(report, skipped=f'mamba-ssm: {reason}'), indent=2))
        return True
    begin = time.time()
    with (out / f'{name}.log').open('w') as log:
        for command in commands:
            status = execute(command, log, env, max(1, deadline - time.time()))
            if status != 0:
                why = 'the time was over' if status is None else f'exit status {status}'
                print(f'{name}: {why}; see {out / name}.log', file=sys.stderr)
                return False
    report |= dict(seconds=time.time() - begin, result=result_of(out, name))
    write_whole(out / f'{name}.json', json.dumps(report, indent=2))
    return True


def line_of(out, name):
    """A part's row of the table."""
    path = out / f'{name}.json'
    if not path.exists():
        return f'| {name} | | missing |'
    report = json.loads(path.read_text())
    if 'skipped' in report:
        return f'| {name} | | {report["skipped"]} |'
    result, text = report['result'], path.name
    if name == 'tests':
        text = result
    elif 'last' in result:
        last = result['metrics'][str(result['last']['epoch'])]
        text = f'top-1 {last["accuracy/top1"]:.2f} %'
    return f'| {name} | {report["seconds"]:.0f} | {text} |'


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('--out', default='work_dirs/gpu', help='folder of all files')
    parser.add_argument('--parts', nargs='+', help='default: all')
    parser.add_argument('--minutes', type=float, default=25)
    parser.add_argument('--tiny', action='store_true', help='rehearse with tiny nets, on a CPU too')
    args = parser.parse_args(argv)
    if DEVICE == 'cpu' and not args.tiny:
        parser.error('expected a GPU, got none; --tiny rehearses on a CPU')
    out, size = Path(args.out).resolve(), TINY if args.tiny else FULL
    (out / 'raw').mkdir(parents=True, exist_ok=True)
    write_configs(out, size)
    parts = parts_of(out, size)
    unknown = set(args.parts or ()) - set(parts)
    if unknown:
        parser.error(f'--parts: expected some of {", ".join(parts)}, got {", ".join(sorted(unknown))}')
    deadline, failed = time.time() + 60 * args.minutes, []
    for name in args.parts or parts:
        if (out / f'{name}.json').exists():
            continue
        if time.time() > deadline or not run_part(out, name, parts[name], deadline):
            failed.append(name)
    print('| part | s | |\n|---|---|---|')
    for name in parts:
        print(line_of(out, name))
    if failed:
        sys.exit(f'left to do: {", ".join(failed)}; rerun the same command')


if __name__ == '__main__':
    run_tool(main)
