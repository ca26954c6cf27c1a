"""Reading mmengine's scalars.json."""

import json

import numpy as np
import pytest

from hetkd.apis.logs import Log, read_log, train_time
from hetkd.errors import UserError


def write(work_dir, name, lines, end=''):
    path = work_dir / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)) + end)
    return path


def train(step, **values):
    return dict(dict(lr=0.1, loss=1.0 / step, time=0.1 * step, epoch=(step + 1) // 2, step=step), **values)


def test_a_resumed_run_is_one_run_and_its_repeated_part_counts_once(tmp_path):
    first = [train(1), train(2), {'accuracy/top1': 10.0, 'step': 1}, train(3, loss=9.0)]
    write(tmp_path, '20260101_000000', first, end='\n{"lr": 0.1, "lo')  # killed while it wrote
    again = [train(3), train(4), {'accuracy/top1': 20.0, 'step': 2}]
    write(tmp_path, '20260102_000000', again)
    log = read_log(tmp_path)
    assert log.curve('loss') == ([0.5, 1.0, 1.5, 2.0], [1.0, 1 / 2, 1 / 3, 1 / 4])
    assert log.curve('accuracy/top1') == ([1, 2], [10.0, 20.0])
    assert log.curve('nonsense') == ([], [])
    assert log.keys() == ['lr', 'loss', 'time', 'accuracy/top1']


def test_a_quantity_that_only_some_lines_have(tmp_path):
    path = write(tmp_path, 'x', [train(1), train(2, grad_cos_kd=0.3)])
    assert read_log(path).curve('grad_cos_kd') == ([1.0], [0.3])


def test_times_leave_out_the_first_line_of_each_epoch_unless_asked(tmp_path):
    log = read_log(write(tmp_path, 'x', [train(i) for i in range(1, 5)]))
    found = train_time(log)
    assert found['epochs'] == pytest.approx({1: 0.2, 2: 0.4})
    assert (found['slowest_epoch'], found['fastest_epoch']) == (2, 1)
    assert found['mean'] == pytest.approx(0.25) and found['deviation_over_epochs'] == pytest.approx(0.1)
    assert train_time(log, include_outliers=True)['epochs'] == pytest.approx({1: 0.15, 2: 0.35})


def test_a_folder_without_a_log_and_a_log_without_training_are_refused(tmp_path):
    with pytest.raises(UserError, match='expected a work dir with .*scalars.json'):
        read_log(tmp_path)
    with pytest.raises(UserError, match='expected lines of training, got none'):
        train_time(read_log(write(tmp_path, 'x', [{'accuracy/top1': 1.0, 'step': 1}])))


def test_an_epochs_length_is_known_also_where_no_line_falls_on_its_end():
    steps = [epoch * 390 + i for epoch in range(3) for i in (100, 200, 300)]
    train = [dict(step=s, epoch=s // 390 + 1, loss=1.0) for s in steps]
    np.testing.assert_allclose(Log(train, []).curve('loss')[0], [s / 390 for s in steps])


def test_a_run_of_iterations_has_curves_by_iteration_and_no_epochs_to_time():
    log = Log([dict(step=10, loss=1.0, time=0.1), dict(step=20, loss=2.0, time=0.1)], [])
    assert log.curve('loss') == ([10, 20], [1.0, 2.0])
    with pytest.raises(UserError, match='expected lines of epochs, got those of a run of iterations'):
        train_time(log)
