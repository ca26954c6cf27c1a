"""Images of the data set as the student sees them and as the teachers do, after all augmentation."""

import argparse
from types import SimpleNamespace

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from hetkd.apis import load_config
from hetkd.apis.analysis import as_seen, random_config
from hetkd.apis.cli import OPTIONS_HELP, finish
from hetkd.engine import EpochSeedHook
from hetkd.registry import MODELS
from hetkd.visualization import Tile, image_grid


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('-o', '--output-dir', required=True, help='folder for PHASE.png')
    parser.add_argument(
        '-p', '--phase', default='train', choices=['train', 'test', 'val'], help='default: train'
    )
    parser.add_argument(
        '-n', '--show-number', type=int, default=8, help='images of the first batch; default 8'
    )
    parser.add_argument('--not-show', action='store_true', help='only write the picture')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help=OPTIONS_HELP)
    args = parser.parse_args(argv)
    if args.show_number < 1:
        parser.error(f'--show-number: expected >= 1, got {args.show_number}')
    return args


def first_batch(cfg, model, phase):
    """The first batch that a run meets, preprocessed; of training with the seeds of its first epoch."""
    seed = cfg.get('randomness', {}).get('seed') or 0
    config = Config(dict(loader=cfg[f'{phase}_dataloader'])).loader
    config.update(num_workers=0, persistent_workers=False, collate_fn=dict(type='default_collate'))
    loader = Runner.build_dataloader(config, seed=seed)
    if phase == 'train':
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=0))
    batch = next(iter(loader))
    return model.data_preprocessor(batch, phase == 'train'), loader.dataset.metainfo.get('classes')


def label_of(sample, classes):
    """The name of the class, or the shares of those that were mixed."""
    if 'gt_score' in sample and float(sample.gt_score.max()) < 1:
        top = sample.gt_score.topk(2)
        return '\n'.join(f'{value:.2f} {classes[i]}' for value, i in zip(*top) if value > 0)
    return str(classes[int(sample.gt_score.argmax() if 'gt_score' in sample else sample.gt_label)])


@torch.no_grad()
def main(argv=None):
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
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
    path = f'{args.output_dir}/{args.phase}.png'
    image_grid(path, rows, names)
    numbers = dict(
        sample_idx=[x.get('sample_idx') for x in samples],
        labels=labels,
        size={name: images.shape[1:3] for name, images in seen.items()},
        mean={name: images.mean((0, 1, 2)) for name, images in seen.items()},
    )
    finish(path, numbers, not args.not_show)


if __name__ == '__main__':
    main()
