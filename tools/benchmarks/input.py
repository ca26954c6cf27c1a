"""Benchmark of the input: images per second of loading, views, normalisation and mixing for training.

The first row is the usual form, torchvision's transforms of single images, for the size of the first CONFIG.
Each CONFIG is measured with loading in this process and, if it has data workers, with them. The rounds are
interleaved, and ratios refer to the first row. Without data workers, on one thread of a CPU, the seconds are
CPU seconds.
"""

import sys
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
from measure import DEVICE, machine, save, timed, work_of
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torchvision import transforms as T

from hetkd.apis import load_config
from hetkd.apis.cli import Options, add_out, run_tool, tool_parser
from hetkd.engine import EpochSeedHook
from hetkd.registry import DATASETS, MODELS

CONFIGS = [f'configs/_base_/datasets/cifar100_224{form}.py' for form in ('_per_image', '')]


@DATASETS.register_module()
class MadeUp(BaseDataset):
    """Noise images of CIFAR's size."""

    def load_data_list(self):
        images = np.random.default_rng(0).integers(256, size=(50_000, 32, 32, 3), dtype=np.uint8)
        return [dict(img=image, gt_label=i % 10) for i, image in enumerate(images)]


class Input:
    """Training input of a config, limited to ``batches`` batches."""

    def __init__(self, path, options, workers, batches):
        cfg = load_config(path, options)
        init_default_scope('hetkd')
        loader = cfg.train_dataloader
        self.workers = loader.num_workers if workers is None else workers
        self.name = f'{path.split("/")[-1]}, {self.workers or "no"} workers'
        self.batch_size = loader.batch_size
        loader.update(num_workers=self.workers, persistent_workers=self.workers > 0)
        loader.update(collate_fn=dict(type='default_collate'), pin_memory=DEVICE == 'cuda')
        data = loader.dataset.dataset if loader.dataset.type == 'InMemory' else loader.dataset
        if data.type in ('CIFAR10', 'CIFAR100', 'TinyImageNet'):
            data.download = False
        data.indices = batches * loader.batch_size
        self.images = data.type
        try:
            self.loader = Runner.build_dataloader(loader, seed=0)
        except (OSError, RuntimeError, AssertionError) as error:
            print(f'{data.type} is not there ({error}): made-up images of its size', file=sys.stderr)
            self.images = 'made-up images'
            pipeline = dict(pipeline=data.pipeline) if 'pipeline' in data else {}
            for key in set(data) - {'indices', 'type'}:
                del data[key]
            data.update(type='MadeUp', **pipeline)
            self.loader = Runner.build_dataloader(loader, seed=0)
        self.preprocessor = MODELS.build({'type': 'SeededPreprocessor', **cfg.data_preprocessor}).to(DEVICE)

    def side(self):
        """Of a view, in pixels."""
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=0, epoch=0))
        return self.preprocessor(next(iter(self.loader)), training=True)['inputs'].shape[-1]

    def round(self, epoch):
        """Images per second of an epoch."""
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=0, epoch=epoch))
        seconds, _ = (timed if self.workers else work_of)(self._epoch)
        return len(self.loader) * self.batch_size / seconds

    def _epoch(self):
        for batch in self.loader:
            self.preprocessor(batch, training=True)


class Usual:
    """The recipe's views of the same images by torchvision, one by one."""

    name, workers = 'torchvision, no workers', 0

    def __init__(self, like):
        loader, size = like.loader, like.side()
        dataset = getattr(loader.dataset, 'dataset', loader.dataset)
        count = len(loader) * like.batch_size
        self.images, self.batch_size = like.images, like.batch_size
        self._images = [dataset.get_data_info(i)['img'] for i in range(count)]
        crop = T.RandomResizedCrop(size, antialias=True) if size > 100 else T.RandomCrop(size, padding=4)
        mean, std = (x.flatten().div(255).tolist() for x in (like.preprocessor.mean, like.preprocessor.std))
        self._transform = T.Compose([crop, T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(mean, std)])

    def round(self, epoch):
        """Images per second of an epoch."""
        seconds, _ = work_of(self._epoch)
        return len(self._images) / seconds

    def _epoch(self):
        for begin in range(0, len(self._images), self.batch_size):
            batch = self._images[begin : begin + self.batch_size]
            torch.stack([self._transform(Image.fromarray(x)) for x in batch]).to(DEVICE)


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument(
        'configs', nargs='*', metavar='CONFIG', help='default: CIFAR-100 at 224 px, both forms'
    )
    parser.add_argument('--rounds', type=int, default=5, help='interleaved, after one warm-up')
    parser.add_argument('--batches', type=int, default=8, help='batches per round')
    parser.add_argument('--step-seconds', type=float, help='of a step, to compare the images/s it needs')
    parser.add_argument('--cfg-options', nargs='+', action=Options, help='for all configs, as key=value')
    add_out(parser, '.json', required=False, text='file of the numbers')
    args = parser.parse_args(argv)

    inputs = []
    for path in args.configs or CONFIGS:
        inputs.append(Input(path, args.cfg_options, 0, args.batches))
        full = Input(path, args.cfg_options, None, args.batches)
        inputs += [full] if full.workers else []
    inputs.insert(0, Usual(inputs[0]))
    rates = [[] for _ in inputs]
    for epoch in range(args.rounds + 1):
        for one, seen in zip(inputs, rates):
            seen.append(one.round(epoch))
            print(f'round {epoch}/{args.rounds}: {one.name} {seen[-1]:.0f}/s', file=sys.stderr, flush=True)
    rates = [seen[1:] for seen in rates]
    rows = []
    for one, seen in zip(inputs, rates):
        ratio = median(a / b for a, b in zip(seen, rates[0]))
        rows.append(
            dict(input=one.name, images=one.images, per_second=median(seen), ratio=ratio, rounds=seen)
        )
    print('| Input | Images | images/s | ratio |')
    print('|---|---|---|---|')
    for row in rows:
        print(f'| {row["input"]} | {row["images"]} | {row["per_second"]:.0f} | {row["ratio"]:.2f} |')
    report = dict(machine(), rows=rows)
    if args.step_seconds:
        needed = inputs[0].batch_size / args.step_seconds
        report['step_images_per_second'] = needed
        print(f'A step of {args.step_seconds:g} s and {inputs[0].batch_size} images needs {needed:.0f}/s.')
    save(args.out, report)


if __name__ == '__main__':
    torch.manual_seed(0)
    run_tool(main)
