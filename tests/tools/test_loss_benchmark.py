"""tools/benchmarks/losses.py."""

import json


def test_both_forms_of_every_loss_are_equal_and_timed(run_tool, tmp_path):
    out = tmp_path / 'out.json'
    done = run_tool('benchmarks/losses.py', '--shapes', '6x50', '--rounds', 1, '--no-memory', '--out', out)
    rows = json.loads(out.read_text())['rows']
    names = {'kd', 'dkd', 'dist', 'ofa', 'rkd', 'crd', 'dfra', 'sub_logit', 'orthogonality'}
    assert {row['loss'] for row in rows} == names
    for row in rows:
        assert row['ratio'] > 0 and min(row['median_seconds'].values()) > 0
        assert max(row['max_relative_difference'].values()) < 1e-4, row['loss']
    assert done.stdout.count('| 6x50 |') == len(names)
