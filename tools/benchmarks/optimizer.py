"""Benchmark of an optimizer's step: hetkd's groups of parameters beside mmengine's, one a parameter.

The optimizer of a config steps with random gradients of its student, and each schedule after it. Rounds are
interleaved and ratios are within a round; on one thread of a CPU the seconds are CPU seconds.
"""

import json
from copy import deepcopy
from statistics import median

import torch
from measure import DEVICE, machine, save, work_of
from mmengine.optim import CosineAnnealingLR
from mmengine.optim import DefaultOptimWrapperConstructor as OneGroupEach
from mmengine.registry import init_default_scope

from hetkd.apis.cli import add_config, add_out, config_of, run_tool, tool_parser
from hetkd.engine import DefaultOptimWrapperConstructor
from hetkd.models.distillers.configs import preprocessor_config
from hetkd.registry import MODELS

VARIANTS = dict(mmengine=OneGroupEach, hetkd=DefaultOptimWrapperConstructor)


def rounds_of(cfg, steps):
    """A function per variant that makes so many steps, and its number of groups."""
    options = deepcopy(cfg.optim_wrapper)
    paramwise = options.pop('paramwise_cfg', None)
    model = MODELS.build(dict(cfg.model, data_preprocessor=preprocessor_config(cfg)))
    found, groups = {}, {}
    for name, constructor in VARIANTS.items():
        own = deepcopy(model).to(DEVICE)
        for parameter in own.parameters():
            parameter.grad = torch.randn_like(parameter)
        wrapper = constructor(options, paramwise)(own)
        schedule = CosineAnnealingLR(wrapper, T_max=10**6)

        def run(wrapper=wrapper, schedule=schedule):
            for _ in range(steps):
                wrapper.step()
                schedule.step()

        found[name], groups[name] = run, len(wrapper.param_groups)
    return found, groups


def main(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    parser.add_argument('--steps', type=int, default=20, help='of a round')
    parser.add_argument('--rounds', type=int, default=9, help='after one warm-up')
    add_out(parser, '.json', required=False, text='file of the numbers')
    args = parser.parse_args(argv)
    init_default_scope('hetkd')
    found, groups = rounds_of(config_of(args), args.steps)
    rounds = [{name: work_of(run)[0] for name, run in found.items()} for _ in range(args.rounds + 1)][1:]
    result = dict(
        ms_a_step={name: round(median(x[name] for x in rounds) / args.steps * 1e3, 3) for name in found},
        ratio=round(median(x['mmengine'] / x['hetkd'] for x in rounds), 2),
        groups=groups,
        machine=machine(),
    )
    print(json.dumps(result))
    save(args.out, result)


if __name__ == '__main__':
    run_tool(main)
