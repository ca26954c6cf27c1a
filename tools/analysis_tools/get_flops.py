"""Parameters and FLOPs of teacher, student and train-only parts, and their shares of a training step.

A multiply-add counts as one FLOP, as in mmpretrain's tables. Matrix products, convolutions and attention of
one image are counted. The step includes the backward pass of the student and of the train-only parts.
"""

from hetkd.apis.cli import add_config, add_picture, config_of, finish, run_tool, tool_parser
from hetkd.apis.complexity import PARTS, complexity
from hetkd.visualization import shares


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    parser.add_argument(
        '--shape', type=int, nargs='+', help="image size, one or two numbers; default: the student's"
    )
    parser.add_argument('--batch-size', type=int, default=8, help='images in a batch')
    add_picture(parser, required=False)
    args = parser.parse_args(argv)
    if args.shape and len(args.shape) > 2:
        parser.error(f'--shape: expected one or two numbers, got {args.shape}')
    if args.batch_size < 2:
        parser.error(f'--batch-size: expected >= 2, since losses compare images, got {args.batch_size}')
    return args


def readable(number):
    """A number with a unit prefix, such as 12.3 M."""
    units = ['', ' k', ' M', ' G', ' T']
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f'{number:.3g}{units[0]}'


def main(argv=None):
    args = parse_args(argv)
    shape = args.shape * 2 if args.shape and len(args.shape) == 1 else args.shape
    found = complexity(config_of(args), shape, args.batch_size)
    print(f'{"":14}{"parameters":>12}{"forward":>12}{"step":>12}{"of a step":>12}')
    for part in PARTS:
        cells = ''.join(f'{readable(found[key][part]):>12}' for key in found)
        share = 100 * found['step'][part] / sum(found['step'].values())
        print(f'{part.replace("_", "-"):14}{cells}{share:>10.1f} %')
    if args.out:
        rows = dict(zip(('parameters', 'forward pass', 'training step'), found.values()))
        texts = {name: readable(sum(x.values())) for name, x in rows.items()}
        names = [part.replace('_', '-') for part in PARTS]
        shares(args.out, {name: list(x.values()) for name, x in rows.items()}, names, texts)
        finish(args.out, dict(found, shape=shape, batch_size=args.batch_size), args.show)


if __name__ == '__main__':
    run_tool(main)
