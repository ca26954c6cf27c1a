"""Distil a small ViT, or a Vision Mamba, into a smaller CNN on real handwritten digits, and compare methods.

Each step is a command of tools/ with a config of configs/. The data comes with scikit-learn, so nothing is
downloaded. For the student five images of each digit have a label, and the other 1,147 training images have
none; the teacher was trained on all labels. "Labels only" takes the same batches and learns from the labelled
images alone.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from hetkd.apis.cli import run_tool
from hetkd.apis.results import read_curve
from hetkd.engine import latest_checkpoint

ROOT = Path(__file__).resolve().parent.parent
TEACHERS = {'vit': 'vit-micro', 'vim': 'vim-micro'}
METHODS = ('scratch', 'kd', 'ofa', 'mldrkd', 'hcd')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', choices=TEACHERS, default='vit', help='family of the teacher')
    parser.add_argument('--work-dir', help='folder for all runs and pictures; default work_dirs/demo-MODEL')
    parser.add_argument('--seeds', type=int, default=3, help='number of runs per student')
    parser.add_argument('--epochs', type=int, help='shorten every run to this many epochs (for a quick try)')
    return parser.parse_args()


def tool(name, *args, threads=1, quiet=True):
    """Run a command of tools/; exit if it fails."""
    command = [sys.executable, str(ROOT / 'tools' / name), *map(str, args)]
    print(f'$ python tools/{name} {" ".join(map(str, args))}', flush=True)
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': str(threads), 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=quiet, text=True)
    if done.returncode:
        output = (done.stdout + done.stderr)[-4000:] if quiet else ''
        sys.exit(f'{output}\ntools/{name} failed with exit status {done.returncode}')


def export(config, folder, out):
    tool('model_converters/export_student.py', config, latest_checkpoint(folder), out)


def main():
    args = parse_args()
    name = TEACHERS[args.model]
    teacher = f'configs/teachers/{name}_digits.py'
    pair = f'{name}_cnn-micro_digits_5labels'
    cell = f'configs/mldrkd/{pair}.py'
    out = Path(args.work_dir or f'work_dirs/demo-{args.model}').resolve()
    begin = time.time()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    short = []
    if args.epochs:
        short = [f'train_cfg.max_epochs={args.epochs}', f'train_cfg.val_interval={max(1, args.epochs // 2)}']
    students = len(METHODS) * args.seeds
    print(f'One teacher (a minute or two), then {students} students on {cores} cores', flush=True)

    options = ['--cfg-options', *short] if short else []
    tool('train.py', teacher, '--work-dir', out / 'teacher', '--resume', *options, threads=2)
    export(teacher, out / 'teacher', out / 'teacher.pth')
    curve = read_curve(out / 'teacher')
    print(f'teacher: last top-1 {curve[max(curve)]:.2f}, best {max(curve.values()):.2f}', flush=True)

    options = ['--cfg-options', f'model.teacher.checkpoint={out / "teacher.pth"}', *short]
    options = ['--seeds', args.seeds, '--jobs', cores, '--work-dir', out / 'students', *options]
    tool('compare.py', cell, '--methods', *METHODS, *options, quiet=False)
    folder = out / 'students/mldrkd' / pair / 'seed0'
    export(cell, folder, out / 'student.pth')
    print(f'exported student (MLDR-KD, seed 0): {out / "student.pth"}')
    print(f'wall time: {time.time() - begin:.0f} s')


if __name__ == '__main__':
    run_tool(main)
