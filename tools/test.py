"""Test the student: a distiller's checkpoint or an exported student alike, without the teacher."""

import argparse

import mmengine
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.hooks import EarlyStoppingHook, EMAHook

from hetkd.apis import load_student, student_config
from hetkd.apis.cli import add_arguments, add_config, add_out, config_of, run_tool, tool_parser
from hetkd.apis.launch import build_runner, merge_common
from hetkd.datasets import check_labels, check_net
from hetkd.engine import plain_model
from hetkd.evaluation import DumpPredictions
from hetkd.registry import HOOKS

ENDINGS = dict(metrics='.json', pred='.npz')


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument('checkpoint', help="checkpoint of the run, or its exported student's file")
    add_out(parser, *ENDINGS.values(), required=False, text='the metrics, or the predictions')
    parser.add_argument('--out-item', choices=['metrics', 'pred'], help=argparse.SUPPRESS)
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--show-dir', help='folder for images with predictions')
    parser.add_argument('--show', action='store_true', help='show images with predictions in a window')
    parser.add_argument('--interval', type=int, default=1, help='show every N-th image')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds to show each image')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation by flipping')
    add_arguments(parser)
    args = parser.parse_args(argv)
    if args.out is None and args.out_item is not None:
        parser.error('--out-item: expected --out FILE as well')
    kind = 'pred' if (args.out or '').endswith('.npz') else 'metrics'
    if args.out_item not in (None, kind):
        parser.error(f'--out: expected a file *{ENDINGS[args.out_item]} for {args.out_item}, got {args.out}')
    args.out_item = kind
    return args


def merge_args(cfg, args):
    cfg.model = student_config(cfg)
    # Training is not built, so neither its data nor hooks that want it are needed.
    cfg.custom_hooks = [x for x in cfg.get('custom_hooks') or [] if not is_of_training(x)]
    for name, hook in cfg.get('default_hooks', {}).items():
        if hook and is_of_training(hook):
            cfg.default_hooks[name] = None
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = None
    cfg.param_scheduler = None
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.load_from, cfg.resume = None, False
    # Without gradients and optimizer the student fits: it is tested whole.
    if cfg.pop('strategy', None):
        cfg.runner_type = 'DistillRunner'
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        cfg.default_hooks.visualization.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
    if args.tta:
        add_tta(cfg)
    merge_common(cfg, args, {'test_dataloader': {}})
    return cfg


def is_of_training(hook):
    return issubclass(HOOKS.class_of(hook) or object, (EMAHook, EarlyStoppingHook))


def add_tta(cfg):
    """By default the mean of an image and its mirror image, as in mmpretrain."""
    loader = cfg.test_dataloader
    if 'tta_pipeline' in cfg:
        loader.dataset.pipeline = cfg.tta_pipeline
    else:
        loader.dataset = ConfigDict(type='Mirrored', dataset=loader.dataset)
    wrapper = cfg.get('tta_model', dict(type='AverageViews'))
    cfg.model = ConfigDict(**wrapper, module=cfg.model)


def main(argv=None):
    args = parse_args(argv)
    cfg = merge_args(config_of(args), args)
    # Without the file's name: the runner would write this config over the one that training has left.
    runner = build_runner(Config(cfg.to_dict()))
    model = plain_model(runner)
    classifier = model.module if args.tta else model
    load_student(classifier, args.checkpoint)
    dataset = runner.test_loop.dataloader.dataset
    check_net(classifier.student, dataset, 'test_dataloader', args.checkpoint)
    check_labels(dataset, 'test_dataloader', classes=classifier.student.num_classes)
    if args.out and args.out_item == 'pred':
        runner.test_evaluator.metrics.append(DumpPredictions(args.out))
    metrics = runner.test()
    if args.out and args.out_item == 'metrics' and is_main_process():
        mmengine.dump({key: x.tolist() if torch.is_tensor(x) else x for key, x in metrics.items()}, args.out)
    if args.out and is_main_process():
        print(f'written: {args.out}')


if __name__ == '__main__':
    run_tool(main)
