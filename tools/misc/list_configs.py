"""Print the grid of configs: pairs of nets in rows, methods in columns."""

import argparse
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent.parent / 'configs'


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', help='only this data set, e.g. cifar100, cifar100_32px or digits')
    parser.add_argument('--files', action='store_true', help='one file a line instead of a table')
    return parser.parse_args()


def cells(data=None):
    """Files by (pair, method); scratch baselines stand in the pair ``none_<student>``."""
    found = {}
    for path in sorted(CONFIGS.glob('[!_]*/*.py')):
        method, name = path.parent.name, path.stem
        if method == 'teachers':
            continue
        name = f'none_{name}' if method == 'scratch' else name
        if data is None or name.split('_', 2)[2] == data:
            found[name, method] = path.relative_to(CONFIGS.parent)
    return found


def table(found):
    """A Markdown table with a cross for each file."""
    pairs = sorted({pair for pair, _ in found}, key=lambda pair: (pair.split('_', 2)[2], pair))
    methods = sorted({method for _, method in found}, key=lambda method: (method == 'scratch', method))
    width = max(map(len, pairs), default=0)
    rows = [['pair'.ljust(width), *methods], ['-' * width, *('-' * len(method) for method in methods)]]
    for pair in pairs:
        marks = [('x' if (pair, method) in found else '').ljust(len(method)) for method in methods]
        rows.append([pair.ljust(width), *marks])
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def main():
    args = parse_args()
    found = cells(args.data)
    if not found:
        known = sorted({pair.split('_', 2)[2] for pair, _ in cells()})
        raise SystemExit(f'--data: expected one of {known}, got {args.data!r}')
    if args.files:
        print('\n'.join(map(str, found.values())))
    else:
        print(table(found))
        print(f'\n{len(found)} configs: configs/<method>/<pair>.py, configs/scratch/<student>.py')


if __name__ == '__main__':
    main()
