"""Results of runs: records, tables, comparison plot."""

import csv
import json

import pytest
from scipy.stats import ttest_rel

from hetkd.apis.gains import gain, gain_text, p_value
from hetkd.apis.results import (
    RunResult,
    is_falling,
    read_curve,
    read_epoch,
    table,
    to_csv,
    to_latex,
    to_markdown,
)

RUNS = [
    RunResult('kd/a', 0, 'done', {1: 10.0, 2: 30.0, 3: 20.0}, seconds=10, memory=100),
    RunResult('kd/a', 1, 'done', {1: 40.0, 2: 40.0}, seconds=20, memory=300.5),
    RunResult('kd/a', 2, 'crashed', {1: 5.0}, seconds=3, reason='ValueError: a | b'),
    RunResult('ofa/b', 0, 'missing', {1: 50.0}, seconds=1, reason='interrupted'),
]


def test_last_and_best_are_of_finished_runs():
    assert [run.last for run in RUNS] == [20.0, 40.0, None, None]
    assert [run.best for run in RUNS] == [30.0, 40.0, None, None]
    assert [run.best_epoch for run in RUNS] == [2, 1, None, None], 'the first of equal ones'


def test_the_table_has_mean_and_deviation_of_what_is_done():
    first, second = to_markdown(RUNS).splitlines()[2:]
    cells = [x.strip() for x in first.split('|')[1:-1]]
    assert cells[:6] == ['kd/a', '30.00 ± 14.14', '35.00 ± 7.07', '15 s', '300 MiB', '2 of 3']
    assert cells[6] == 'seed 2 crashed: ValueError: a / b'
    assert [x.strip() for x in second.split('|')[1:-1]] == ['ofa/b', '', '', '', '', '0 of 1', '']
    assert to_markdown(RUNS[:1]).splitlines()[2].startswith('| kd/a | 20.00 | 30.00 |'), 'no deviation of one'


def test_the_csv_has_a_line_a_run():
    rows = list(csv.DictReader(to_csv(RUNS).splitlines()))
    assert [row['status'] for row in rows] == ['done', 'done', 'crashed', 'missing']
    assert '33.3333,' in to_csv([RunResult('a', 0, 'done', {1: 100 / 3})]), 'not 15 digits'
    assert rows[0]['last'] == '20.0' and rows[0]['best_epoch'] == '2' and rows[0]['epochs'] == '3'
    assert rows[2]['last'] == '' and rows[2]['reason'] == 'ValueError: a | b'


def test_the_curve_is_read_from_the_record(tmp_path):
    metrics = {'1': {'accuracy/top1': 10.0}, '3': {'accuracy/top1': 30.0, 'loss': 1.0}}
    (tmp_path / 'results.json').write_text(json.dumps(dict(metrics=metrics)))
    assert read_curve(tmp_path) == {1: 10.0, 3: 30.0}
    assert read_curve(tmp_path, 'loss') == {3: 1.0}
    assert read_curve(tmp_path / 'none') == {}


def test_the_epoch_is_that_of_the_latest_line_also_of_a_log_that_a_kill_cut_off(tmp_path):
    assert read_epoch(tmp_path) == 0
    for name, epochs in (('1', [1, 2, 3]), ('2', [3, 4])):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(epoch=epoch, loss=1.0)) for epoch in epochs]
        (folder / 'scalars.json').write_text(
            '\n'.join([*lines, '{"accuracy/top1": 5.0, "step": 9}', '{"epo'])
        )
    assert read_epoch(tmp_path) == 4


def test_a_gain_is_paired_and_what_the_noise_explains_is_said_so():
    ours, theirs = [70.1, 71.3, 69.8, 72.0], [69.0, 70.6, 69.1, 71.1]
    p = ttest_rel(ours, theirs).pvalue
    assert p_value([x - y for x, y in zip(ours, theirs)]) == pytest.approx(p) and p < 0.05
    assert gain_text(gain(dict(enumerate(ours)), dict(enumerate(theirs)))) == f'+0.85 (p {p:.2g})'
    assert (
        gain_text(gain({0: 1.0, 1: 2.0, 2: 3.0}, {0: 2.0, 1: 1.0, 2: 3.5})) == '-0.17, within noise (p 0.81)'
    )
    assert gain_text(gain({0: 5.0, 1: 5.5}, {0: 3.0, 1: 3.2})) == '+2.15 (p 0.044)'
    apart = gain({0: 28.74, 1: 29.80}, {0: 35.72, 1: 33.34})
    assert gain_text(apart) == '-5.26, within noise (p 0.2)', 'by two seeds that differ themselves'
    assert gain_text(gain({0: 5.0, 3: 9.0}, {0: 4.0, 1: 7.0})) == '+1.00 (one seed)'
    assert gain_text(gain({0: 5.0}, {1: 5.0})) == ''
    assert gain_text(gain({0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 2.0, 2: 3.0})) == '+0.00, within noise (p 1)'
    equal = gain({0: 86.5, 1: 87.0}, {0: 86.0, 1: 86.5})
    assert gain_text(equal) == '+0.50, within noise (p 1)', 'two equal differences are no proof'


def test_gains_are_over_the_student_alone_with_the_same_settings_and_over_the_teacher():
    def run(config, value, teacher=None):
        return RunResult(config, 0, 'done', {1: value}, teacher=teacher)

    runs = [
        run('scratch/a', 50.0), run('kd/a/model.ce_weight=2', 53.0, 60.0), run('scratch/a/lr=1', 40.0),
        run('kd/a/model.x=1/lr=1', 45.0, 60.0), run('kd/b', 45.0),
    ]  # fmt: skip
    titles, *rows = table(runs)
    assert titles[2:4] == ['gain over scratch', 'gain over teacher']
    assert [row[2] for row in rows] == ['', '+3.00 (one seed)', '', '+5.00 (one seed)', '']
    assert [row[3] for row in rows] == ['', '-7.00 (one seed)', '', '-15.00 (one seed)', '']
    assert 'gain' not in to_markdown(RUNS), 'nothing to compare with'
    assert next(csv.DictReader(to_csv(runs[1:2]).splitlines()))['teacher'] == '60.0'


def test_a_student_of_another_setting_is_compared_with_itself_alone():
    def run(config, value):
        return RunResult(config, 0, 'done', {1: value})

    students = [run(f'scratch/a/model.student.depth={x}', value) for x, value in ((18, 50.0), (34, 55.0))]
    taught = [run(f'kd/a/model.student.depth={x}/model.ce_weight=1', 60.0) for x in (18, 34, 50)]
    gains = [row[2] for row in table([*students, *taught])[1:]]
    assert gains == ['', '', '+10.00 (one seed)', '+5.00 (one seed)', '']


def test_of_an_error_the_best_is_the_smallest_and_a_difference_no_gain():
    run = RunResult('scratch/a', 0, 'done', {1: 5.0, 2: 20.0}, falls=is_falling('calibration/ece'))
    assert (run.best_epoch, run.best, run.last) == (1, 5.0, 20.0)
    assert table([run], 'calibration/ece')[0][2] == 'difference to scratch'
    assert [x for x in ('accuracy/top1', 'teacher/kl', 'loss_ce', 'single-label/f1') if is_falling(x)] == [
        'teacher/kl',
        'loss_ce',
    ]


def test_seeds_of_different_teachers_are_named():
    runs = [RunResult('kd/a', seed, 'done', {1: 1.0}, taught_by=(str(seed // 2),)) for seed in range(3)]
    assert table(runs)[1][-1] == 'its seeds have different teachers' and table(runs[:2])[1][-1] == ''


def test_the_latex_table_is_booktabs_with_its_characters_escaped():
    lines = to_latex([*RUNS, RunResult('kd/a_b', 0, 'done', {1: 1.0}, reason='50%')]).splitlines()
    assert lines[:2] == [r'\begin{tabular}{lrrrrr}', r'\toprule'] and lines[3] == r'\midrule'
    assert lines[4].startswith(r'kd/a & 30.00 $\pm$ 14.14 & ') and r'kd/a\_b & ' in lines[6]
    assert lines[-2:] == [r'\bottomrule', r'\end{tabular}'] and all(x.count('&') == 5 for x in lines[4:7])
    assert 'ValueError' not in str(lines)
