"""Benchmark of a training step: the student alone, with the teacher's forward, with the whole method.

The teacher's forward and the student's training are the floor of any online distillation. A method adds
connectors and losses. "cached" is the whole method with a teacher cache in place of the teacher, "usual" is
its plain PyTorch form in usual_steps.py. Rounds are interleaved and ratios are within a round; on one thread
of a CPU the seconds are CPU seconds. Weights are random and images are noise.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from copy import deepcopy
from statistics import median

import torch
from measure import DEVICE, machine, peak_of, save, work_of
from mmengine.registry import init_default_scope
from usual_steps import IMAGES, usual_step

from hetkd.apis import load_config
from hetkd.apis.cli import Options, add_out, run_tool, tool_parser
from hetkd.apis.complexity import random_batch
from hetkd.engine import AmpOptimWrapper
from hetkd.errors import UserError
from hetkd.models.distillers.configs import preprocessor_config, random_net
from hetkd.models.nets.contract import asked
from hetkd.registry import MODELS
from hetkd.teacher_cache import CachedTeacher, TeacherCache
from hetkd.teacher_cache.facts import teacher_config
from hetkd.utils.memory import peak_memory_mib

# Keys of a net that say how it is run.
HOW = ('channels_last', 'compile', 'dtype')
VARIANTS = ('student', 'floor', 'method', 'cached', 'usual')
LABELS = dict(
    student='student alone',
    floor='+ teacher = floor',
    method='method',
    cached='method, cached',
    usual='usual',
)


def build(args, config, method, plain=False):
    """A model in training mode, its teacher's config and a batch; plain: without HOW."""
    init_default_scope('hetkd')
    cfg = load_config(config, args.cfg_options, method)
    if not isinstance(cfg.model.get('teacher'), dict):
        raise UserError(config, 'one teacher', 'none or several', 'name another config')
    nets = {}
    for name in ('teacher', 'student'):
        net = cfg.model[name]
        nets[name] = dict(random_net(net), **{key: net[key] for key in HOW if key in net and not plain})
    torch.manual_seed(0)
    model = MODELS.build(dict(deepcopy(cfg.model), **nets, data_preprocessor=preprocessor_config(cfg)))
    model = model.to(DEVICE).train()
    images, samples = random_batch(model, args.batch_size, (args.image_size, args.image_size))
    for part in model.modules():
        if hasattr(part, 'prepare_data'):  # CRD's memories of their real size
            part.prepare_data(torch.arange(IMAGES) % model.student.num_classes)
    return model, nets['teacher'], images.to(DEVICE), [x.to(DEVICE) for x in samples]


def cache_of(model, net, images, folder):
    """A cached teacher with one view of the batch."""
    embedding = 'embedding' in model.teacher_needs
    output = model.teacher(images, embedding=embedding)
    header = dict(images=len(images), classes=model.teacher.num_classes, views=1, seed=0, top_k=0)
    header.update(embedding=embedding, embedding_channels=model.teacher.embedding_channels, validation=0)
    header['teacher'] = dict(config=teacher_config(net), file_sha256=None)
    cache = TeacherCache.create(folder, header)
    cache.write('view000', range(len(images)), output.logits, output.embedding)
    cache.finish()
    teacher = CachedTeacher(folder, net)
    teacher.view = 0
    return teacher


def steps_of(args, config, method_name, folder):
    """One function per variant that runs a training step."""
    model, net, images, samples = build(args, config, method_name)
    alone = torch.optim.SGD(model.student.parameters(), lr=1e-3)
    whole = torch.optim.SGD(model.parameters(), lr=1e-3)
    target = torch.cat([x.gt_label for x in samples])
    needs = asked(model.teacher_needs)

    amp = AmpOptimWrapper(optimizer=whole, dtype=args.amp) if args.amp else None

    def update(loss_of, optimizer):
        optimizer.zero_grad()
        with amp.optim_context(model) if amp else nullcontext():
            loss = loss_of()
        loss.backward()
        optimizer.step()

    def label_loss():
        return model.label_loss_of(model.run_student(images).logits, target)

    def label_loss_after_teacher():
        model.teacher(images, **needs)
        return label_loss()

    def student():
        update(label_loss, alone)

    def floor():
        update(label_loss_after_teacher, alone)

    def method():
        update(lambda: model.parse_losses(model.loss(images, samples))[0], whole)

    found = dict(student=student, floor=floor, method=method)
    if set(model.teacher_needs) <= {'logits', 'embedding'}:
        own, cached = model.teachers, [cache_of(model, net, images, folder)]

        def from_cache():
            model.teachers = cached
            method()
            model.teachers = own

        found['cached'] = from_cache
    plain, *_ = build(args, config, method_name, plain=True)
    gradients = usual_step(method_name or config.split('/')[-2], plain, images, target)
    if gradients is not None:
        whole_plain = torch.optim.SGD(plain.parameters(), lr=1e-3)

        def usual():
            whole_plain.zero_grad()
            gradients()
            whole_plain.step()

        found['usual'] = usual
    return found


def benchmark(args, config, method):
    """Measure one config: a row of the table."""
    options = ['--batch-size', str(args.batch_size), '--image-size', str(args.image_size)]
    with tempfile.TemporaryDirectory() as folder:
        steps = steps_of(args, config, method, folder)
        seconds = {name: [] for name in steps}
        for i in range(args.rounds + 1):
            for name, step in steps.items():
                taken = work_of(step)[0]
                if i:  # round 0 is the warm-up
                    seconds[name].append(taken)
            print(f'{config}: round {i}/{args.rounds}', file=sys.stderr, flush=True)
    if method:
        options += ['--methods', method]
    if args.amp:
        options += ['--amp', args.amp]
    if args.cfg_options:
        options += ['--cfg-options', *(f'{key}={value}' for key, value in args.cfg_options.items())]
    peaks = {}
    if args.memory:
        peaks = {name: peak_of(__file__, config, '--peak', name, *options) for name in steps}
    return dict(
        config=config,
        method=method,
        batch_size=args.batch_size,
        image_size=args.image_size,
        median_seconds={name: median(x) for name, x in seconds.items()},
        over_floor=median(a / b for a, b in zip(seconds['method'], seconds['floor'])),
        own_seconds=median(a - b for a, b in zip(seconds['method'], seconds['floor'])),
        online_over_cached=median(a / b for a, b in zip(seconds['method'], seconds['cached']))
        if 'cached' in seconds
        else None,
        over_usual=median(a / b for a, b in zip(seconds['usual'], seconds['method']))
        if 'usual' in seconds
        else None,
        peak_extra_mib=peaks,
        seconds=seconds,
    )


def show(rows):
    """Print the table."""
    print('|', ' | '.join(['config', *(f'{LABELS[x]} s' for x in VARIANTS)]), end=' | ')
    print('method / floor | its own part s | online / cached | usual / method | MiB, in this order |')
    print('|---' * 11 + '|')
    for row in rows:
        seconds = [row['median_seconds'].get(x) for x in VARIANTS]
        cells = [
            *seconds,
            row['over_floor'],
            row['own_seconds'],
            row['online_over_cached'],
            row['over_usual'],
        ]
        cells = ['' if x is None else f'{x:.3g}' for x in cells]
        memory = ', '.join(f'{row["peak_extra_mib"][x]:.0f}' for x in VARIANTS if x in row['peak_extra_mib'])
        name = ' '.join(filter(None, (row['config'], row['method'])))
        print('|', ' | '.join([name, *cells, memory]), '|')


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('configs', nargs='+', help='config files of distillation runs')
    parser.add_argument('--methods', nargs='+', default=[None], help="in place of the configs' own")
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--image-size', type=int, default=224)
    parser.add_argument('--rounds', type=int, default=5, help='after one warm-up')
    parser.add_argument('--no-memory', dest='memory', action='store_false', help='leave the MiB out: quicker')
    parser.add_argument(
        '--amp', choices=('bfloat16', 'float16'), help='mixed precision; without a loss scale'
    )
    parser.add_argument('--cfg-options', nargs='+', action=Options, help='for all configs, as key=value')
    add_out(parser, '.json', required=False, text='file of the numbers')
    parser.add_argument('--peak', choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.peak:
        with tempfile.TemporaryDirectory() as folder:
            step = steps_of(args, args.configs[0], args.methods[0], folder)[args.peak]
            before = peak_memory_mib()
            step()
            return print(peak_memory_mib() - before)
    rows = [benchmark(args, config, method) for config in args.configs for method in args.methods]
    show(rows)
    save(args.out, dict(machine(), amp=args.amp, options=args.cfg_options, rows=rows))


if __name__ == '__main__':
    run_tool(main)
