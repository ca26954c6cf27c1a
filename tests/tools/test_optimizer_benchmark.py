"""The benchmark of an optimizer's step."""

import json


def test_both_kinds_of_groups_step(run_tool):
    config = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
    done = run_tool(
        'benchmarks/optimizer.py',
        config,
        *('--method', 'scratch', '--steps', 2, '--rounds', 1),
        *('--cfg-options', 'optim_wrapper.paramwise_cfg.flat_decay_mult=0.0'),
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found['groups']['mmengine'] > 5 and found['groups']['hetkd'] == 3
    assert found['ratio'] > 0 and min(found['ms_a_step'].values()) > 0
