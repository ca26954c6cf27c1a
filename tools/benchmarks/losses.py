"""Benchmark of the losses: time and memory of forward and backward, beside plain implementations.

DFRA compares six students (logits, four stages, fused) with one teacher: in one stacked call, and by plain
autograd in six evaluations, each with its own backward pass, so that only one graph is alive at a time. The
other losses are those whose implementation in hetkd is not the equation as written (forms.py).
Run it alone: OpenMP threads that wait for a busy core were seen to make hetkd's form 30 times slower.
"""

import argparse
import json
import sys
from statistics import median

import torch
from forms import OTHERS
from measure import DEVICE, machine, peak_of, timed

from hetkd.functional import dfra_loss, kl_divergence
from hetkd.utils.memory import peak_memory_mib
from hetkd.utils.whole_file import write_whole

STUDENTS = 6
BIG = 2**26  # entries of the (N, C, C) relation from which the plain form needs gigabytes


def plain_relation(student, teacher, scale):
    """Mean KL between the columns of the relations of (B, D), straight from the paper's formula."""
    log_s = (scale * student[:, :, None] * student[:, None]).log_softmax(-2)
    log_t = (scale * teacher[:, :, None] * teacher[:, None]).log_softmax(-2)
    return (log_t.exp() * (log_t - log_s)).sum(-2).mean()


def plain(students, teacher):
    """DFRA of each student by autograd, forward and backward."""
    scale, losses = teacher.shape[1] ** -0.5, []
    for student in students:
        loss = plain_relation(student, teacher, scale) + plain_relation(student.T, teacher.T, scale)
        loss = loss + 2 * kl_divergence(student, teacher)
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses)


def hetkd(students, teacher):
    """DFRA of all students by hetkd, forward and backward."""
    losses = dfra_loss(students, teacher).total
    losses.sum().backward()
    return losses.detach()


def shape(text):
    """Parse '128x100' to (128, 100); argparse reports a ValueError."""
    samples, classes = map(int, text.split('x'))
    return samples, classes


def make(shape):
    """Seeded normal logits of students, near those of a teacher."""
    generator = torch.Generator().manual_seed(0)
    teacher = 2 * torch.randn(*shape, generator=generator)
    students = teacher + 0.5 * torch.randn(STUDENTS, *shape, generator=generator)
    return students.to(DEVICE).requires_grad_(), teacher.to(DEVICE)


# For each loss: a function that makes inputs (the first gets the gradient), plain form, hetkd's form.
LOSSES = {'dfra': (make, plain, hetkd), **OTHERS}
FORMS = ('plain', 'hetkd')


def evaluate(loss, form, inputs):
    """Seconds, losses and gradient of one forward and backward."""
    inputs[0].grad = None
    run = LOSSES[loss][1 + FORMS.index(form)]
    seconds, losses = timed(lambda: run(*inputs))
    return seconds, losses, inputs[0].grad


def benchmark(loss, shape, rounds):
    """Measure one loss at one shape: a row of the table."""
    name = '{}x{}'.format(*shape)
    big = loss == 'dfra' and shape[0] * shape[1] ** 2 >= BIG
    rounds, warm = (1, (8, shape[1])) if big else (rounds, shape)
    peaks = {x: peak_of(__file__, '--losses', loss, '--shapes', name, '--peak', x) for x in FORMS}
    inputs, first = LOSSES[loss][0](shape), LOSSES[loss][0](warm)
    for form in FORMS:
        evaluate(loss, form, first)
    seconds = {form: [] for form in FORMS}
    for i in range(rounds):
        results = {form: evaluate(loss, form, inputs) for form in FORMS}
        for form, result in results.items():
            seconds[form].append(result[0])
            text = f'{loss} {name} round {i + 1}/{rounds}: {form} {result[0]:.4f} s'
            print(text, file=sys.stderr, flush=True)
    differences = [
        ((got - expected).abs().max() / expected.abs().max()).item()
        for got, expected in zip(results['hetkd'][1:], results['plain'][1:])
    ]
    return dict(
        loss=loss,
        shape=name,
        median_seconds={form: median(x) for form, x in seconds.items()},
        speedup=median(a / b for a, b in zip(seconds['plain'], seconds['hetkd'])),
        peak_extra_mib=peaks,
        max_relative_difference=dict(zip(('loss', 'gradient'), differences)),
        seconds=seconds,
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--losses', nargs='+', choices=LOSSES, default=list(LOSSES))
    parser.add_argument('--shapes', nargs='+', type=shape, default=[(128, 100), (128, 1000)], metavar='NxC')
    rounds = 'interleaved, after a warm-up; a big shape (128x1000) gets only one, warmed up on 8 samples'
    parser.add_argument('--rounds', type=int, default=5, help=rounds)
    parser.add_argument('--out', help='JSON file to write')
    parser.add_argument('--peak', choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.peak:
        inputs, before = LOSSES[args.losses[0]][0](args.shapes[0]), peak_memory_mib()
        evaluate(args.losses[0], args.peak, inputs)
        return print(peak_memory_mib() - before)

    rows = [benchmark(loss, x, args.rounds) for loss in args.losses for x in args.shapes]
    print('| loss | N x C | plain s | hetkd s | speed-up | plain MiB | hetkd MiB | loss diff. | grad diff. |')
    print('|---' * 9 + '|')
    for row in rows:
        cells = [*row['median_seconds'].values(), row['speedup'], *row['peak_extra_mib'].values()]
        cells = [f'{x:.3g}' if x < 1000 else f'{x:.0f}' for x in cells]
        cells += [f'{x:.0e}' for x in row['max_relative_difference'].values()]
        print('|', row['loss'], '|', row['shape'], '|', ' | '.join(cells), '|')
    if args.out:
        write_whole(args.out, json.dumps(dict(machine(), students=STUDENTS, rows=rows), indent=2))


if __name__ == '__main__':
    main()
