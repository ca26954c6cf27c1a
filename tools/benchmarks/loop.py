"""Benchmark of the training loop: an iteration with a tiny net, against mmengine's stock runner.

Both runners train one linear layer on the digits, with the same data and log interval: the stock one with
mmengine's default hooks, the other with all hooks of configs/_base_/default_runtime.py. CPU seconds of the
process; rounds are interleaved and ratios are within a round.
"""

import json
import tempfile
import time
from copy import deepcopy
from statistics import median

import torch
from measure import machine, save
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from hetkd.apis import load_config
from hetkd.apis.cli import add_out, run_tool, tool_parser
from hetkd.registry import MODELS, RUNNERS

CELL = 'hetkd::mldrkd/vit-micro_cnn-micro_digits'
STOCK_HOOKS = ('timer', 'logger', 'param_scheduler', 'sampler_seed')
WARM_UP = 100


@MODELS.register_module()
class OneLayer(BaseModel):
    """A linear layer and its squared output."""

    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.layer = nn.Linear(8, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.layer(inputs[:, 0, 0].float()).square().mean())


class Stopwatch(Hook):
    """CPU time from the end of the warm-up on."""

    priority = 'VERY_LOW'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == WARM_UP:
            self.begin = time.process_time()
        self.end, self.count = time.process_time(), runner.iter + 1 - WARM_UP


def config(stock: bool, iterations: int, folder: str):
    cfg = load_config(CELL, method='scratch')
    cfg.model = dict(type='OneLayer')
    cfg.data_preprocessor = dict(type='BaseDataPreprocessor')
    loader = cfg.train_dataloader
    loader.dataset.update(per_class=None, pipeline=[dict(type='PackInputs')])
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    loader.collate_fn = dict(type='default_collate')
    cfg.train_cfg = dict(by_epoch=True, max_epochs=-(-iterations // 1197), val_interval=10**6)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.default_hooks.pop('checkpoint')
    if stock:
        cfg.default_hooks = {key: cfg.default_hooks[key] for key in STOCK_HOOKS}
        cfg.runner_type = 'Runner'
    cfg.default_hooks['checkpoint'] = None
    cfg.work_dir, cfg.experiment_name, cfg.log_level = folder, f'loop{time.time_ns()}', 'ERROR'
    return cfg


def microseconds(stock: bool, iterations: int) -> float:
    """CPU time of one iteration."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = config(stock, iterations, folder)
        runner = Runner.from_cfg(deepcopy(cfg)) if stock else RUNNERS.build(cfg)
        watch = Stopwatch()
        runner.register_hook(watch)
        runner.train()
    return (watch.end - watch.begin) / watch.count * 1e6


def main(argv=None):
    parser = tool_parser(__doc__)
    parser.add_argument('--iterations', type=int, default=3000, help='of each run; whole epochs of 1,197')
    parser.add_argument('--rounds', type=int, default=5, help='of both runners')
    add_out(parser, '.json', required=False, text='file of the numbers')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rounds = [[microseconds(stock, args.iterations) for stock in (True, False)] for _ in range(args.rounds)]
    result = dict(
        stock=round(median(x[0] for x in rounds), 1),
        hetkd=round(median(x[1] for x in rounds), 1),
        ratio=round(median(x[1] / x[0] for x in rounds), 2),
        machine=machine(),
    )
    print(json.dumps(result))
    save(args.out, result)


if __name__ == '__main__':
    run_tool(main)
