"""List the pairs of nets and the methods to train them with."""

from hetkd.apis.cli import run_tool, tool_parser
from hetkd.apis.config import config_here, methods, shipped
from hetkd.errors import UserError


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('--data', help='only this data set, e.g. cifar100, cifar100_32px or digits')
    parser.add_argument('--files', action='store_true', help='config files alone, one a line')
    return parser.parse_args(argv)


def table(pairs):
    """A Markdown table of the pairs, by data set."""
    rows = [('teacher', 'student', 'data', 'config')]
    rows += [(*pair.split('_', 2), config_here(f'mldrkd/{pair}')) for pair in pairs]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, tuple('-' * width for width in widths))
    return '\n'.join(f'| {" | ".join(x.ljust(width) for x, width in zip(row, widths))} |' for row in rows)


def main(argv=None):
    args = parse_args(argv)
    pairs = sorted(
        (path.stem for path in (shipped() / 'configs/mldrkd').glob('*.py')),
        key=lambda pair: (pair.split('_', 2)[2], pair),
    )
    chosen = [pair for pair in pairs if args.data in (None, pair.split('_', 2)[2])]
    if not chosen:
        known = sorted({pair.split('_', 2)[2] for pair in pairs})
        raise UserError('--data', f'one of {known}', repr(args.data))
    if args.files:
        print('\n'.join(config_here(f'mldrkd/{pair}') for pair in chosen))
        return
    print(table(chosen))
    print(f'\npairs: {len(chosen)}, each with --method {" | ".join(methods())}')


if __name__ == '__main__':
    run_tool(main)
