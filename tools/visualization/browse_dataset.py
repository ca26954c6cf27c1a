"""Images of the data set as student and teachers see them, after all augmentation."""

import argparse
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from hetkd.apis.analysis import as_seen, random_config
from hetkd.apis.cli import add_config, add_picture, config_of, finish, run_tool, tool_parser
from hetkd.engine import EpochSeedHook
from hetkd.registry import MODELS
from hetkd.visualization import Tile, image_grid


def parse_args(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser, 'config file')
    add_picture(parser, required=False)
    parser.add_argument('-o', '--output-dir', help=argparse.SUPPRESS)  # mmpretrain's: of PHASE.png
    parser.add_argument(
        '-p', '--phase', default='train', choices=['train', 'test', 'val'], help='which images'
    )
    parser.add_argument(
        '-n', '--show-number', type=int, default=8, help='number of images of the first batch'
    )
    args = parser.parse_args(argv)
    if args.output_dir and not args.out:
        args.out = f'{args.output_dir}/{args.phase}.png'
    if not args.out:
        parser.error('the following arguments are required: --out')
    if args.show_number < 1:
        parser.error(f'--show-number: expected >= 1, got {args.show_number}')
    return args


def first_batch(cfg, model, phase):
    """The first batch of a run, preprocessed; for training with the seeds of the first epoch."""
    seed = cfg.get('randomness', {}).get('seed') or 0
    config = Config(dict(loader=cfg[f'{phase}_dataloader'])).loader
    config.update(num_workers=0, persistent_workers=False, collate_fn=dict(type='default_collate'))
    loader = Runner.build_dataloader(config, seed=seed)
    if phase == 'train':
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=0))
    batch = next(iter(loader))
    return model.data_preprocessor(batch, phase == 'train'), loader.dataset.metainfo.get('classes')


def label_of(sample, classes):
    """Name of the class; of a mixed image the two largest shares; ``'no label'`` of an unlabelled one."""
    if not any(key in sample and not sample.get(key).isnan().any() for key in ('gt_score', 'gt_label')):
        return 'no label'
    if 'gt_score' in sample and float(sample.gt_score.max()) < 1:
        top = sample.gt_score.topk(2)
        return '\n'.join(f'{value:.2f} {classes[i]}' for value, i in zip(*top) if value > 0)
    return str(classes[int(sample.gt_score.argmax() if 'gt_score' in sample else sample.gt_label)])


@torch.no_grad()
def main(argv=None):
    args = parse_args(argv)
    cfg = config_of(args)
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    model = MODELS.build(random_config(cfg)).eval()
    data, classes = first_batch(cfg, model, args.phase)
    inputs, samples = data['inputs'][: args.show_number], data['data_samples'][: args.show_number]
    classes = classes or [str(i) for i in range(model.student.num_classes)]
    labels = [label_of(x, classes) for x in samples]
    teachers = getattr(model, 'teachers', ())
    seen = {'student': as_seen(model, inputs)}
    for i, teacher in enumerate(teachers, 1):
        seen['teacher' if len(teachers) == 1 else f'teacher {i}'] = as_seen(model, inputs, teacher)
    rows = [[Tile(image) for image in images] for images in seen.values()]
    rows[0] = [Tile(image, label) for image, label in zip(seen['student'], labels)]
    names = [f'{name}, {images.shape[2]}x{images.shape[1]}' for name, images in seen.items()]
    image_grid(args.out, rows, names)
    numbers = dict(
        sample_idx=[x.get('sample_idx') for x in samples],
        labels=labels,
        size={name: images.shape[1:3] for name, images in seen.items()},
        mean={name: images.mean((0, 1, 2)) for name, images in seen.items()},
    )
    finish(args.out, numbers, args.show)


if __name__ == '__main__':
    run_tool(main)
