"""The benchmark of a start."""

import json

CONFIG = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'


def test_the_first_iteration_is_reached(run_tool):
    done = run_tool('benchmarks/start.py', CONFIG, '--cfg-options', 'model.teacher.checkpoint=random')
    found = json.loads(done.stdout.splitlines()[-1])
    assert found['help_cpu_s'] > 0
    assert found['first_iteration']['cpu_s'] > 0 and found['first_iteration']['memory_mib'] > 100
