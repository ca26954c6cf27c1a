"""The benchmark of the loop."""

import json


def test_both_runners_are_timed(run_tool, tmp_path):
    run_tool('benchmarks/loop.py', '--iterations', 1000, '--rounds', 1, '--out', tmp_path / 'x.json')
    found = json.loads((tmp_path / 'x.json').read_text())
    assert found['stock'] > 0 and 0.5 < found['ratio'] < 5
