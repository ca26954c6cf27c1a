"""Dry run: teachers, loss terms, parameters, time and memory of a run. Nothing is saved."""

import json
import tempfile

from hetkd.apis.cli import add_config, add_out, config_of, run_tool, tool_parser
from hetkd.apis.launch import LOADERS, build_runner, complete_loaders
from hetkd.engine.hooks.teacher_check import teacher_line
from hetkd.utils.whole_file import write_whole


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    parser.add_argument('--images', type=int, default=1024, help='validation images for the teachers')
    parser.add_argument('--steps', type=int, default=10, help='training steps to time')
    add_out(parser, '.json', required=False, text='file of the report')
    args = parser.parse_args(argv)
    if args.steps < 1 or args.images < 0:
        parser.error(f'expected --steps >= 1 and --images >= 0, got {args.steps} and {args.images}')
    return args


def run(args) -> dict:
    cfg = config_of(args)
    with tempfile.TemporaryDirectory() as work_dir:
        cfg.work_dir, cfg.launcher = work_dir, 'none'
        cfg.log_level = 'INFO' if args.verbose else 'WARNING'
        complete_loaders(cfg, LOADERS)
        cfg.train_cfg.pop('by_epoch', None)
        cfg.train_cfg.update(type='PreflightLoop', steps=args.steps)
        cfg.default_hooks.interrupt = None  # nothing to save
        check = cfg.default_hooks.get('teacher_check') or {}
        cfg.default_hooks.teacher_check = dict(check, type='TeacherCheckHook', images=args.images)
        runner = build_runner(cfg)
        runner.train()
        reports = [x.report for x in runner.hooks if type(x).__name__ in ('TeacherCheckHook', 'LossCostHook')]
        return {key: value for report in reports for key, value in report.items()} | runner.train_loop.report


def lines(report: dict):
    """The report, for a person."""
    yield from (f'teacher: {teacher_line(found)}' for found in report['teachers'])
    yield 'loss terms on one batch        value   gradient on the student   cosine with the label loss'
    for name, term in report['terms'].items():
        cosine = '' if term['cosine'] is None else f'{term["cosine"]:+.3f}'
        yield f'  {name:24} {term["value"]:10.4f}   {term["gradient_norm"]:10.4g}                {cosine}'
    for name, value in report['statistics'].items():
        yield f'  {name:24} {value:10.4f}'
    if report['rounding']:
        rounding = report['rounding']
        yield (
            f'mixed precision beside float32: the loss differs by {rounding["loss"]:.2%}, the cosine of the '
            f"student's gradients is {rounding['cosine']:.4f}"
        )
    for name in ('unused', 'frozen'):
        found = report[name]
        yield f'{name} parameters: {len(found) or "none"}' + ''.join(f'\n  {x}' for x in found[:10])
    yield (
        f'step of {report["batch_size"]}: {report["step_seconds"]:.3f} s, of which '
        f'{report["data_seconds"]:.3f} s waiting for data; peak memory {report["peak_memory_mib"]:.0f} MiB'
    )
    if 'relation_cost' in report:
        cost = report['relation_cost']
        yield (
            f'class relations: about {cost["seconds"]:.1f} s of the step and at least '
            f'{cost["memory_gib"]:.1f} GiB (estimated)'
        )
    time = _time(report['run_hours'])
    yield f'the run: {report["epochs"]} epochs of {report["images"]:,} images, about {time}'


def _time(hours: float) -> str:
    return f'{hours * 60:.1f} minutes' if hours < 1 else f'{hours:.1f} hours'


def main(argv=None):
    args = parse_args(argv)
    report = run(args)
    print(*lines(report), sep='\n')
    if args.out:
        write_whole(args.out, json.dumps(report, indent=1))
        print(f'written: {args.out}')


if __name__ == '__main__':
    run_tool(main)
