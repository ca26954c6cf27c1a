"""Distil a small ViT into a smaller CNN on real handwritten digits, and compare methods.

Every run is `tools/train.py` with a config of configs/; the data comes with scikit-learn, so nothing is
downloaded. The student sees five labelled images of each digit, the teacher was trained on all.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEACHER = 'configs/teachers/vit-micro_digits.py'
PAIR = 'vit-micro_cnn-micro_digits'
METHODS = {
    'labels only': 'configs/scratch/cnn-micro_digits.py',
    'KD': f'configs/kd/{PAIR}.py',
    'OFA': f'configs/ofa/{PAIR}.py',
    'MLDR-KD': f'configs/mldrkd/{PAIR}.py',
    'HCD': f'configs/hcd/{PAIR}.py',
}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder of all runs and pictures')
    parser.add_argument('--seeds', type=int, default=3, help='runs of each student')
    parser.add_argument('--epochs', type=int, help='shorten every run to this many epochs (for a quick try)')
    return parser.parse_args()


def tool(name, *args):
    """Run one of tools/ on one thread, as these nets are too small for more; shows its output if it fails."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(ROOT / 'tools' / name), *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'{" ".join(command)}\nfailed:\n{(done.stdout + done.stderr)[-4000:]}')


def train(config, work_dir, seed, options=(), epochs=None):
    """One run; returns its accuracy by epoch and its wall time."""
    options = [f'randomness.seed={seed}', *options]
    if epochs:
        options += [f'train_cfg.max_epochs={epochs}', f'train_cfg.val_interval={max(1, epochs // 2)}']
    start = time.time()
    tool('train.py', config, '--work-dir', work_dir, '--cfg-options', *options)
    seconds = time.time() - start
    (newest,) = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))[-1:]
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    curve = {x['step']: x['accuracy/top1'] for x in lines if 'accuracy/top1' in x}
    return dict(curve=curve, last=list(curve.values())[-1], best=max(curve.values()), seconds=seconds)


def summary(name, runs):
    """One row of the table."""
    last = [run['last'] for run in runs]
    spread = f'± {statistics.stdev(last):.2f}' if len(last) > 1 else ''
    return (
        f'{name:<22}{statistics.mean(last):>8.2f} {spread:<8}'
        f'{statistics.mean(run["best"] for run in runs):>8.2f}'
        f'{statistics.mean(run["seconds"] for run in runs):>9.0f} s{len(runs):>7}'
    )


def draw(results, teacher, out):
    """Bars of the last accuracy, and curves over the epochs."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout='constrained')
    values = [[run['last'] for run in runs] for runs in results.values()]
    means = [statistics.mean(x) for x in values]
    errors = [statistics.stdev(x) if len(x) > 1 else 0 for x in values]
    bars = axes.bar(list(results), means, yerr=errors, capsize=4, color='C0')
    axes.bar_label(bars, fmt='%.1f', label_type='center', color='white')
    axes.axhline(teacher['last'], color='C1', linestyle='--', label=f'teacher {teacher["last"]:.1f}')
    axes.set(
        ylabel='test accuracy (%)', ylim=(min(means) - 5, 100), title='Digits, 5 labelled images a class'
    )
    axes.legend(loc='upper right')
    figure.savefig(out / 'accuracy.png', dpi=150)

    figure, axes = plt.subplots(figsize=(6, 3.5), layout='constrained')
    for index, (name, runs) in enumerate(results.items()):
        for run in runs:
            label = name if run is runs[0] else None
            axes.plot(list(run['curve']), list(run['curve'].values()), color=f'C{index}', label=label)
    axes.set(xlabel='epoch', ylabel='test accuracy (%)', title='Students, one line a seed')
    axes.legend()
    figure.savefig(out / 'curves.png', dpi=150)
    plt.close('all')


def train_teacher(out, epochs):
    """Train and export the teacher."""
    result = train(TEACHER, out / 'teacher', 0, epochs=epochs)
    export(TEACHER, out / 'teacher', out / 'teacher.pth')
    return result


def train_all(out, pool, seeds, epochs):
    """Every run as ((name, seed), result), as many at a time as the pool has workers.

    The teacher comes first; students on labels alone need not wait for it.
    """

    def student(job):
        name, seed = job
        options = [] if name == 'labels only' else [f'model.teacher.checkpoint={out / "teacher.pth"}']
        return job, train(METHODS[name], student_dir(out, name, seed), seed, options, epochs)

    teacher = pool.submit(train_teacher, out, epochs)
    jobs = sorted(itertools.product(METHODS, range(seeds)), key=lambda job: job[0] != 'labels only')
    early = pool.map(student, jobs[:seeds])
    yield ('teacher', 0), teacher.result()
    late = pool.map(student, jobs[seeds:])
    yield from early
    yield from late


def student_dir(out, name, seed):
    return out / name.replace(' ', '-').lower() / f'seed{seed}'


def export(config, work_dir, weights):
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    tool('model_converters/export_student.py', config, checkpoint, weights)


def main():
    args = parse_args()
    out = Path(args.work_dir).resolve()
    out.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    total = 1 + len(METHODS) * args.seeds
    print(f'{total} trainings on {cores} cores; all files go to {out}', flush=True)

    results = {name: [] for name in ('teacher', *METHODS)}
    with ThreadPoolExecutor(max(1, cores)) as pool:
        runs = train_all(out, pool, args.seeds, args.epochs)
        for count, ((name, seed), result) in enumerate(runs, start=1):
            results[name].append(result)
            left = (time.time() - begin) / count * (total - count)
            line = (
                f'[{count}/{total}] {name}, seed {seed}: {result["last"]:.2f} % in {result["seconds"]:.0f} s'
            )
            print(f'{line}; about {left:.0f} s left', flush=True)
    (teacher,) = results.pop('teacher')

    export(METHODS['MLDR-KD'], student_dir(out, 'MLDR-KD', 0), out / 'student.pth')
    draw(results, teacher, out)
    table = [f'{"":<22}{"last top-1":>15} {"best":>9}{"time":>11}{"seeds":>7}']
    table += [summary('teacher (ViT)', [teacher])]
    table += [summary(f'student, {name}', runs) for name, runs in results.items()]
    (out / 'table.txt').write_text('\n'.join(table) + '\n')
    print('\n' + '\n'.join(table))
    print(f'\npictures: {out / "accuracy.png"}, {out / "curves.png"}')
    print(f'exported student (MLDR-KD, seed 0): {out / "student.pth"}')
    print(f'wall time: {time.time() - begin:.0f} s')


if __name__ == '__main__':
    main()
