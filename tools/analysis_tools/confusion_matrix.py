"""Confusion matrix of a student, by mmpretrain's ConfusionMatrix."""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt

from hetkd.apis.analysis import Images, open_student
from hetkd.apis.cli import add_config, add_images, add_out, config_of, file_of, finish, run_tool, tool_parser
from hetkd.evaluation import read_predictions


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument(
        'checkpoint',
        help='checkpoint of the run, its exported student, or predictions of tools/test.py (*.npz)',
    )
    add_out(parser, '.png', '.npy', required=False, text='the picture, or the matrix alone')
    parser.add_argument('--show-path', type=file_of('.png'), help=argparse.SUPPRESS)  # mmpretrain's
    parser.add_argument('--show', action='store_true', help='also open the picture')
    parser.add_argument('--include-values', action='store_true', help='write the numbers into the cells')
    parser.add_argument('--cmap', default='viridis', help="matplotlib's name of the colour map")
    add_images(parser)
    args = parser.parse_args(argv)
    if args.out and args.out.endswith('.png'):
        args.out, args.show_path = None, args.out
    if not (args.out or args.show_path):
        parser.error('the following arguments are required: --out')
    if args.show and not args.show_path:
        parser.error('--show: expected --out FILE.png')
    return args


@torch.no_grad()
def matrix_of(args, cfg, images):
    """(C, C) number of images by true and predicted class."""
    from mmpretrain.evaluation import ConfusionMatrix

    if args.checkpoint.endswith(('.npz', '.pkl')):
        rows = read_predictions(args.checkpoint)
        labels, targets = (torch.tensor([int(x[key]) for x in rows]) for key in ('pred_label', 'gt_label'))
        return ConfusionMatrix.calculate(labels, targets, len(rows[0]['pred_score']))
    student = open_student(cfg, args.checkpoint, args.device)
    labels, targets = [], []
    for batch in images.batches(student, 'predictions'):
        labels.append(student(batch.inputs).argmax(1).cpu())
        targets.append(batch.target.cpu())
    return ConfusionMatrix.calculate(torch.cat(labels), torch.cat(targets), student.student.num_classes)


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    images = Images(cfg, args.max_images)
    matrix = matrix_of(args, cfg, images)
    names = images.names(len(matrix))
    for path in filter(None, (args.out, args.show_path)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    if args.out:
        np.save(args.out, matrix)
        print(f'written: {args.out}')
    if args.show_path:
        from mmpretrain.evaluation import ConfusionMatrix

        plt.switch_backend('Agg')
        # Names that fit the rows of mmpretrain's figure (490 points high), at a resolution that shows them.
        size = min(16, max(1, 450 / len(matrix)))
        with plt.rc_context({'font.size': size}):
            figure = ConfusionMatrix.plot(
                matrix, include_values=args.include_values, cmap=args.cmap, classes=names, show=False
            )
        figure.savefig(args.show_path, dpi=min(200, max(50, 600 / size)), bbox_inches='tight')
        plt.close(figure)
        finish(
            args.show_path, dict(classes=names, rows='true', columns='predicted', matrix=matrix), args.show
        )


if __name__ == '__main__':
    run_tool(main)
