"""t-SNE of the embeddings of student and teacher, or of a stage averaged over the image."""

import argparse

import numpy as np
import torch
from rich.console import Console
from sklearn.manifold import TSNE

from hetkd.apis.analysis import Images, open_run
from hetkd.apis.cli import add_config, add_picture, config_of, finish, run_tool, tool_parser
from hetkd.errors import UserError
from hetkd.visualization import scatter


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    one = parser.add_mutually_exclusive_group(required=True)
    text = "checkpoint of the run, its exported student, or 'random'"
    one.add_argument('checkpoint', nargs='?', default=argparse.SUPPRESS, help=text)
    one.add_argument('--checkpoint', default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # mmpretrain's
    add_picture(parser)
    parser.add_argument('--vis-stage', type=int, help='1 is the shallowest; default: the embedding')
    parser.add_argument('--class-idx', nargs='+', type=int, help='classes; default: the first ones')
    parser.add_argument('--max-num-class', type=int, default=20, help='number of classes')
    parser.add_argument('--max-num-samples', type=int, default=100, help='images per class')
    parser.add_argument('--perplexity', type=float, default=30.0, help='about the number of neighbours')
    parser.add_argument('--early-exaggeration', type=float, default=12.0, help='of the clusters')
    parser.add_argument('--learning-rate', type=float, default=200.0, help='of t-SNE')
    parser.add_argument('--n-iter', type=int, default=1000, help='iterations')
    parser.add_argument('--init', default='random', choices=['random', 'pca'], help='of the points')
    parser.add_argument('--legend', action='store_true', help='add a legend of the classes')
    parser.add_argument('--device', help='default: the best available')
    return parser.parse_args(argv)


def chosen(dataset, classes, samples):
    """Indices of the first images of each class."""
    labels = np.array([int(dataset.get_data_info(i)['gt_label']) for i in range(len(dataset))])
    return sorted(i for label in classes for i in np.flatnonzero(labels == label)[:samples].tolist())


def features(net, inputs, stage):
    """A net's embedding (N, D), or the mean (N, D) of a stage (from 1)."""
    if stage is None:
        return net(inputs, embedding=True).embedding
    stages = net(inputs, stages=True).stages
    if not 1 <= stage <= len(stages):
        raise UserError('--vis-stage', f'1 to {len(stages)}', stage)
    return stages[stage - 1].mean((2, 3))


@torch.no_grad()
def embeddings(model, images, stage):
    """Embeddings (N, D) by net, and the true classes."""
    nets = {'student': model.student}
    for i, teacher in enumerate(getattr(model, 'teachers', ()), 1):
        nets['teacher' if len(model.teachers) == 1 else f'teacher {i}'] = teacher
    found, target = {name: [] for name in nets}, []
    for batch in images.batches(model, 'embeddings'):
        target.append(batch.target.cpu())
        for name, net in nets.items():
            found[name].append(features(net, batch.inputs, stage).float().cpu())
    return {name: torch.cat(x).numpy() for name, x in found.items()}, torch.cat(target).numpy()


def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    model = open_run(cfg, args.checkpoint, args.device)
    classes = args.class_idx or range(min(args.max_num_class, model.student.num_classes))
    indices = chosen(Images(cfg).dataset, classes, args.max_num_samples)
    if len(indices) <= args.perplexity:
        raise UserError(
            '--perplexity',
            f'less than the number of images, {len(indices)} of the classes {list(classes)}',
            args.perplexity,
        )
    images = Images(cfg, indices=indices)
    found, target = embeddings(model, images, args.vis_stage)
    points = {}
    for name, values in found.items():
        with Console().status(f't-SNE of {len(values)} embeddings, {name}'):
            points[name] = TSNE(
                perplexity=args.perplexity, early_exaggeration=args.early_exaggeration,
                learning_rate=args.learning_rate, max_iter=args.n_iter, init=args.init, random_state=0,
            ).fit_transform(values)  # fmt: skip
    scatter(args.out, points, target, images.names(model.student.num_classes), args.legend)
    finish(args.out, dict(sample_idx=indices, target=target, points=points), args.show)


if __name__ == '__main__':
    run_tool(main)
