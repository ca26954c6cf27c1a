"""Plot logged quantities of runs (plot_curve), or compute the time per iteration (cal_train_time)."""

from pathlib import Path

from hetkd.apis.cli import Help, add_picture, finish, run_tool, tool_parser
from hetkd.apis.logs import read_log, train_time
from hetkd.errors import UserError
from hetkd.visualization import curves


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    tasks = parser.add_subparsers(dest='task', required=True)
    for name, text in (('plot_curve', 'a panel per quantity, a line per run'), ('cal_train_time', 'seconds')):
        task = tasks.add_parser(name, help=text, description=text, formatter_class=Help)
        task.add_argument('json_logs', nargs='+', help='work dirs, or scalars.json files')
        task.add_argument('--legend', nargs='+', help='names of the runs; default: their folders')
        task.add_argument('--title', help='title of the figure')
        add_picture(task, required=False)
        if name == 'plot_curve':
            task.add_argument('--keys', nargs='+', default=['loss'], help='quantities; default: loss')
            task.add_argument('--window-size', default='9*5', help='size of the figure in inches, W*H')
        else:
            task.add_argument('--include-outliers', action='store_true', help='keep the first of each epoch')
    args = parser.parse_args(argv)
    args.legend = args.legend or names_of(args.json_logs)
    if len(set(args.legend)) != len(args.json_logs):
        parser.error(f'--legend: expected {len(args.json_logs)} names that differ, got {args.legend}')
    return args


def names_of(paths):
    """Short names of the runs: their work dirs without the path components that all share."""
    folders = [Path(x) if Path(x).is_dir() else Path(x).parent.parent.parent for x in paths]
    parts = [folder.resolve().parts for folder in folders]
    if len(paths) == 1:
        return [parts[0][-1]]
    shared = {x for x in parts[0] if all(x in other for other in parts)}
    return ['/'.join(x for x in part if x not in shared) or part[-1] for part in parts]


def plot_curve(args, logs):
    """Plot the curves; returns epochs and values by run and quantity."""
    runs = {}
    for name, log in zip(args.legend, logs):
        runs[name] = {key: log.curve(key) for key in args.keys}
        for key, (_, values) in runs[name].items():
            if not values:
                raise UserError('--keys', f'some of {log.keys()} of {name}', repr(key))
    width, height = map(float, args.window_size.split('*'))
    if args.out:
        curves(args.out, runs, args.keys, args.title, (width, height))
    return {
        name: {key: dict(epoch=x, value=y) for key, (x, y) in found.items()} for name, found in runs.items()
    }


def cal_train_time(args, logs):
    """Print, and plot if wanted, the times per iteration of each run."""
    numbers = {name: train_time(log, args.include_outliers) for name, log in zip(args.legend, logs)}
    for name, x in numbers.items():
        print(f'{"-" * 5}{name}{"-" * 5}')
        print(f'slowest epoch {x["slowest_epoch"]}, average time is {x["slowest"]:.4f}')
        print(f'fastest epoch {x["fastest_epoch"]}, average time is {x["fastest"]:.4f}')
        print(f'time std over epochs is {x["deviation_over_epochs"]:.4f}')
        print(f'average iter time: {x["mean"]:.4f} s/iter\n')
    if args.out:
        runs = {
            name: {'time, s': (list(x['epochs']), list(x['epochs'].values()))} for name, x in numbers.items()
        }
        curves(args.out, runs, ['time, s'], args.title, (7, 4))
    return numbers


def main(argv=None):
    args = parse_args(argv)
    logs = [read_log(path) for path in args.json_logs]
    numbers = (plot_curve if args.task == 'plot_curve' else cal_train_time)(args, logs)
    if args.out:
        finish(args.out, numbers, args.show)
    return numbers


if __name__ == '__main__':
    run_tool(main)
