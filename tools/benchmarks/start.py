"""Benchmark of a start: CPU seconds and memory until the first iteration, and CPU seconds of --help."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmengine.hooks import Hook

from hetkd.apis.cli import add_config, config_of, run_tool, tool_parser
from hetkd.apis.launch import build_runner
from hetkd.utils.memory import peak_memory_mib

TRAIN = Path(__file__).parents[1] / 'train.py'


class Arrived(Exception):
    """The first iteration begins."""


class FirstIteration(Hook):
    priority = 'VERY_HIGH'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise Arrived


def seconds_of_help() -> float:
    """CPU seconds of ``tools/train.py --help``."""
    subprocess.run([sys.executable, TRAIN, '--help'], stdout=subprocess.PIPE, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(argv=None):
    parser = tool_parser(__doc__)
    add_config(parser)
    cfg = config_of(parser.parse_args(argv))
    help_s = seconds_of_help()
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        runner = build_runner(cfg)
        runner.register_hook(FirstIteration())
        try:
            runner.train()
        except Arrived:
            # CPU seconds of this process, from the interpreter on.
            start = dict(cpu_s=round(time.process_time(), 2), memory_mib=round(peak_memory_mib()))
    print(json.dumps(dict(help_cpu_s=round(help_s, 2), first_iteration=start)))


if __name__ == '__main__':
    run_tool(main)
