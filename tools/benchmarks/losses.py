"""Benchmark of the losses: CPU seconds and memory of forward and backward, beside the usual form of each.

The usual forms are in forms.py. Both forms run on one core, in interleaved rounds; a ratio is usual / hetkd
within a round, and the median over the rounds is shown. On a GPU the seconds are those of the clock.
The shape is N x C; N x D for RKD, and N x M with M images in the memories for CRD.
"""

import argparse
import sys
from statistics import median

import torch
from forms import LOSSES, STUDENTS
from measure import machine, peak_of, save, work_of

from hetkd.apis.cli import add_out, run_tool, tool_parser
from hetkd.utils.memory import peak_memory_mib

FORMS = ('usual', 'hetkd')
ROUND = 0.05  # seconds for which a form is repeated within a round
SLOW = 2.0  # seconds of one evaluation, from which one round is enough


def shape(text):
    """Parse '128x100' to (128, 100); argparse reports a ValueError."""
    samples, classes = map(int, text.split('x'))
    return samples, classes


def evaluate(loss, form, inputs, repeats=1):
    """Seconds, losses and gradient of one forward and backward."""
    run = LOSSES[loss][2 + FORMS.index(form)]

    def repeat():
        for _ in range(repeats):
            for x in inputs[:2]:
                x.grad = None
            losses = run(*inputs)
        return losses

    seconds, losses = work_of(repeat)
    return seconds / repeats, losses, inputs[0].grad


def benchmark(loss, shape, rounds, memory):
    """Measure one loss at one shape: a row of the table."""
    name = '{}x{}'.format(*shape)
    options = ('--losses', loss, '--shapes', name, '--peak')
    peaks = {x: peak_of(__file__, *options, x) for x in FORMS} if memory else {}
    inputs = LOSSES[loss][1](shape)
    warm = {form: evaluate(loss, form, inputs)[0] for form in FORMS}
    if max(warm.values()) > SLOW:
        rounds = 1
    repeats = {form: max(1, round(ROUND / warm[form])) for form in FORMS}
    seconds = {form: [] for form in FORMS}
    for i in range(rounds):
        results = {form: evaluate(loss, form, inputs, repeats[form]) for form in FORMS}
        for form, result in results.items():
            seconds[form].append(result[0])
            text = f'{loss} {name} round {i + 1}/{rounds}: {form} {result[0]:.4g} s'
            print(text, file=sys.stderr, flush=True)
    differences = [
        ((got - expected).abs().max() / expected.abs().max()).item()
        for got, expected in zip(results['hetkd'][1:], results['usual'][1:])
    ]
    return dict(
        loss=loss,
        shape=name,
        median_seconds={form: median(x) for form, x in seconds.items()},
        ratio=median(a / b for a, b in zip(seconds['usual'], seconds['hetkd'])),
        peak_extra_mib=peaks,
        max_relative_difference=dict(zip(('loss', 'gradient'), differences)),
        seconds=seconds,
    )


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('--losses', nargs='+', choices=LOSSES, default=list(LOSSES))
    parser.add_argument('--shapes', nargs='+', type=shape, metavar='NxC', help='default: those of each loss')
    parser.add_argument(
        '--rounds', type=int, default=9, help=f'one where an evaluation takes more than {SLOW:g} s'
    )
    parser.add_argument('--no-memory', dest='memory', action='store_false', help='leave the MiB out: quicker')
    add_out(parser, '.json', required=False, text='file of the numbers')
    parser.add_argument('--peak', choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.peak:
        inputs, before = LOSSES[args.losses[0]][1](args.shapes[0]), peak_memory_mib()
        evaluate(args.losses[0], args.peak, inputs)
        return print(peak_memory_mib() - before)

    rows = [
        benchmark(loss, x, args.rounds, args.memory)
        for loss in args.losses
        for x in args.shapes or LOSSES[loss][0]
    ]
    head = ['loss', 'shape', 'usual s', 'hetkd s', 'ratio', *[f'{x} MiB' for x in FORMS if args.memory]]
    head += ['loss diff.', 'grad diff.']
    print('|', ' | '.join(head), '|')
    print('|---' * len(head) + '|')
    for row in rows:
        cells = [*row['median_seconds'].values(), row['ratio'], *row['peak_extra_mib'].values()]
        cells = [f'{x:.3g}' if x < 1000 else f'{x:.0f}' for x in cells]
        cells += [f'{x:.0e}' for x in row['max_relative_difference'].values()]
        print('|', row['loss'], '|', row['shape'], '|', ' | '.join(cells), '|')
    save(args.out, dict(machine(), students=STUDENTS, rows=rows))


if __name__ == '__main__':
    run_tool(main)
