"""Benchmark of the selective scan: time and memory of forward and backward, beside the reference loop.

The loop indexes time inside autograd, as the plain reference of mamba-ssm does: the backward pass of each
step fills a gradient of the whole length.
Run it alone: threads that wait for a busy core make hetkd's form much slower.
"""

import argparse
import sys
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from measure import DEVICE, machine, peak_of, save, timed

from hetkd.apis.cli import add_out, run_tool, tool_parser
from hetkd.ops import selective_scan
from hetkd.ops.selective_scan import BACKENDS
from hetkd.utils.memory import peak_memory_mib

NAMES = ('batch', 'channels', 'states', 'length')


def reference(u, delta, A, B, C):
    """The reference loop: all decays and inputs at once, then one step after the other."""
    delta = F.softplus(delta)
    decay = torch.exp(torch.einsum('bdl,dn->bdln', delta, A))
    inputs = torch.einsum('bdl,bnl,bdl->bdln', delta, B, u)
    state, ys = u.new_zeros(*u.shape[:2], A.shape[1]), []
    for t in range(u.shape[2]):
        state = decay[:, :, t] * state + inputs[:, :, t]
        ys.append(torch.einsum('bdn,bn->bd', state, C[:, :, t]))
    return torch.stack(ys, 2)


def hetkd(u, delta, A, B, C, backend='auto'):
    """The scan by hetkd."""
    return selective_scan(u, delta, A, B, C, delta_softplus=True, backend=backend)


FORMS = {'loop': reference, 'hetkd': hetkd}


def shape(text):
    """Parse '8x384x16x196' to four numbers; argparse reports a ValueError."""
    batch, channels, states, length = map(int, text.split('x'))
    return batch, channels, states, length


def make(shape):
    """Seeded u, delta, A, B, C."""
    batch, channels, states, length = shape
    generator = torch.Generator().manual_seed(0)
    sizes = [(batch, channels, length)] * 2 + [(channels, states)] + [(batch, states, length)] * 2
    tensors = [torch.randn(size, generator=generator) for size in sizes]
    tensors[2] = -tensors[2].exp()
    return [x.to(DEVICE).requires_grad_() for x in tensors]


def evaluate(form, inputs):
    """Seconds of forward and of forward plus backward; y and the gradients."""
    forward, y = timed(lambda: FORMS[form](*inputs))
    backward, gradients = timed(lambda: torch.autograd.grad(y.square().mean(), inputs))
    return (forward, forward + backward), (y.detach(), *gradients)


def benchmark(shape, rounds, backend, memory):
    """Measure one shape: a row of the table."""
    name = 'x'.join(map(str, shape))
    options = ('--shapes', name, '--backend', backend)
    peaks = {form: peak_of(__file__, *options, '--peak', form) for form in FORMS} if memory else {}
    inputs = make(shape)
    evaluate('hetkd', inputs)
    seconds = {form: [] for form in FORMS}
    for i in range(rounds):
        results = {}
        for form in FORMS:
            times, results[form] = evaluate(form, inputs)
            seconds[form].append(times)
            print(f'{name} round {i + 1}/{rounds}: {form} {times[1]:.3f} s', file=sys.stderr, flush=True)
    difference = max(((a - b).norm() / b.norm()).item() for a, b in zip(results['hetkd'], results['loop']))
    return dict(
        shape=name,
        median_forward={form: median(x[0] for x in seconds[form]) for form in FORMS},
        median_both={form: median(x[1] for x in seconds[form]) for form in FORMS},
        speedup=median(a[1] / b[1] for a, b in zip(seconds['loop'], seconds['hetkd'])),
        peak_extra_mib=peaks,
        max_relative_difference=difference,
    )


def main(argv=None):
    parser = tool_parser(__doc__)
    default = [(8, 384, 16, 196), (8, 384, 1, 196)]
    parser.add_argument('--shapes', nargs='+', type=shape, default=default, metavar='x'.join(NAMES))
    parser.add_argument('--rounds', type=int, default=5, help='interleaved, after a warm-up of hetkd')
    parser.add_argument('--no-memory', dest='memory', action='store_false', help='leave the MiB out: quicker')
    parser.add_argument('--backend', choices=BACKENDS, default='auto', help="of hetkd's form")
    add_out(parser, '.json', required=False, text='file of the numbers')
    parser.add_argument('--peak', choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    FORMS['hetkd'] = partial(hetkd, backend=args.backend)
    if args.peak:
        inputs, before = make(args.shapes[0]), peak_memory_mib()
        evaluate(args.peak, inputs)
        return print(peak_memory_mib() - before)

    rows = [benchmark(x, args.rounds, args.backend, args.memory) for x in args.shapes]
    memory = [f'{x} MiB' for x in FORMS if args.memory]
    head = [' x '.join(NAMES), 'loop s', 'hetkd s', 'speed-up', *memory, 'difference']
    print('|', ' | '.join(head), '|')
    print('|---' * len(head) + '|')
    for row in rows:
        cells = [*row['median_both'].values(), row['speedup'], *row['peak_extra_mib'].values()]
        cells = [f'{x:.3g}' if x < 1000 else f'{x:.0f}' for x in cells]
        print('|', row['shape'], '|', ' | '.join(cells), f'| {row["max_relative_difference"]:.0e} |')
    save(args.out, dict(machine(), backend=args.backend, rows=rows))


if __name__ == '__main__':
    run_tool(main)
