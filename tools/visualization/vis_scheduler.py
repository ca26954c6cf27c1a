"""Plot learning rate, momentum or weight decay over a run without training, by mmpretrain's simulation."""

import tempfile
from pathlib import Path
from unittest.mock import MagicMock

from matplotlib import pyplot as plt
from mmengine.registry import init_default_scope

from hetkd.apis.cli import add_config, add_picture, config_of, finish, run_tool, tool_parser
from hetkd.apis.mmpretrain_tools import mmpretrain_tool
from hetkd.errors import UserError
from hetkd.registry import DATASETS

NAMES = dict(lr='Learning Rate', momentum='Momentum', wd='Weight Decay')


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    parser.add_argument('-p', '--parameter', default='lr', choices=NAMES, help='what to draw')
    parser.add_argument(
        '-d', '--dataset-size', type=int, help='number of training images; default: read the data set'
    )
    parser.add_argument('-n', '--ngpus', type=int, default=1, help='number of processes of the run')
    add_picture(parser, '-s', '--save-path')
    parser.add_argument('--title', help='title of the figure')
    parser.add_argument('--window-size', default='8*4', help='size of the figure in inches, W*H')
    args = parser.parse_args(argv)
    args.style = 'whitegrid'  # seaborn's, if it is installed
    return args


class Steps(list):
    """Stand-in for a data loader: the simulation needs only its length."""

    dataset = MagicMock(metainfo=None)


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    plt.switch_backend('Agg')
    tool = mmpretrain_tool('visualization/vis_scheduler.py')
    # The simulation has no model that hetkd's hooks would find.
    cfg.custom_hooks, cfg.log_level = None, 'WARNING'
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':  # needs a GPU; the rates are the same
        cfg.optim_wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(key, None)
    size = args.dataset_size or len(DATASETS.build(cfg.train_dataloader.dataset))
    mine, batch = -(-size // args.ngpus), cfg.train_dataloader.batch_size
    steps = mine // batch if cfg.train_dataloader.get('drop_last') else -(-mine // batch)
    if steps == 0:
        raise UserError(
            'train_dataloader',
            'at least one batch',
            f'{size} images and batches of {cfg.train_dataloader.batch_size} on {args.ngpus} processes',
            'lower batch_size',
        )
    by_epoch = cfg.train_cfg.get('by_epoch', True)
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        values = tool.simulate_train(Steps(range(steps)), cfg, by_epoch)[args.parameter]
    tool.plot_curve(values, args, NAMES[args.parameter], steps, by_epoch)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(args.out, dpi=80, bbox_inches='tight')
    plt.close('all')
    finish(args.out, {'steps_per_epoch': steps, args.parameter: values}, args.show)


if __name__ == '__main__':
    run_tool(main)
