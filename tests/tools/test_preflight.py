"""tools/preflight.py."""

import json

import pytest

from tests.conftest import ROOT
from tests.tools.conftest import CONFIG


@pytest.mark.parametrize('method', ['mldrkd', 'crd'])
def test_it_reports_terms_parameters_time_and_memory_and_leaves_nothing(
    method, tmp_path, run_tool, tiny_teacher
):
    out = tmp_path / 'report.json'
    args = [CONFIG, '--method', method, '--steps', 3, '--images', 100, '--out', out]
    # As in the config that a distributed run leaves in its work dir.
    options = [f'model.teacher.checkpoint={tiny_teacher}', f'work_dir={tmp_path}/work', 'launcher=pytorch']
    printed = run_tool('preflight.py', *args, '--cfg-options', *options).stdout
    assert len(printed.splitlines()) < 25 and ' - INFO - ' not in printed, 'the report alone'
    assert 'teacher: VisionTransformer (' in printed
    report = json.loads(out.read_text())
    assert list(tmp_path.iterdir()) == [out]
    assert 'loss_ce' in report['terms'] and len(report['terms']) > 1
    for name, term in report['terms'].items():
        assert name in printed and term['value'] >= 0 and term['gradient_norm'] > 0
        assert (term['cosine'] is None) == (name == 'loss_ce')
        assert name == 'loss_ce' or -1 <= term['cosine'] <= 1
    assert report['unused'] == report['frozen'] == [] and report['rounding'] is None
    assert report['teachers'][0]['images'] == 100
    assert report['step_seconds'] > report['data_seconds'] > 0 and report['peak_memory_mib'] > 100
    steps = report['epochs'] * (report['images'] // report['batch_size'])
    assert report['run_hours'] == pytest.approx(steps * report['step_seconds'] / 3600)
    assert f'{report["epochs"]} epochs of 50 images, about' in printed


def test_mixed_precision_is_put_beside_float32(tmp_path, run_tool, tiny_teacher):
    """With the same paths dropped: half of this student's would change the loss by more."""
    out, config = tmp_path / 'report.json', tmp_path / 'dropping.py'
    config.write_text(
        f"_base_ = ['{ROOT / CONFIG}']\n"
        f"model = dict(teacher=dict(checkpoint='{tiny_teacher}'), student=dict(_delete_=True,\n"
        "    type='TimmNet', model='vit_tiny_patch16_224', input_size=16, model_kwargs=dict(patch_size=4,\n"
        '    embed_dim=64, depth=4, num_heads=4, drop_path_rate=0.5, drop_rate=0.5)))\n'
        "optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')\n"
    )
    printed = run_tool('preflight.py', config, '--steps', 1, '--images', 0, '--out', out).stdout
    rounding = json.loads(out.read_text())['rounding']
    assert 0 < rounding['loss'] < 0.02 and 0.99 < rounding['cosine'] < 1
    assert f'mixed precision beside float32: the loss differs by {rounding["loss"]:.2%}' in printed


def test_a_run_of_iterations_is_told_in_epochs(tmp_path, run_tool, tiny_teacher):
    out, config = tmp_path / 'report.json', tmp_path / 'iterations.py'
    config.write_text(
        f"_base_ = ['{ROOT / CONFIG}']\n"
        'train_cfg = dict(_delete_=True, by_epoch=False, max_iters=5, val_interval=5)\n'
        'train_dataloader = dict(batch_size=20, sampler=dict(_delete_=True, type="InfiniteSampler"))\n'
        f"model = dict(teacher=dict(checkpoint='{tiny_teacher}'))\n"
    )
    run_tool('preflight.py', config, '--steps', 1, '--images', 200, '--out', out)
    report = json.loads(out.read_text())
    assert report['epochs'] == 3  # of two steps
    assert report['run_hours'] == pytest.approx(5 * report['step_seconds'] / 3600)


def test_a_parameter_that_no_term_reaches_is_named(tmp_path, run_tool, tiny_teacher):
    args = [CONFIG, '--steps', 1, '--cfg-options', f'model.teacher.checkpoint={tiny_teacher}']
    printed = run_tool('preflight.py', *args, 'model.stage_weight=0', 'model.fused_weight=0').stdout
    assert 'unused parameters: none' in printed, 'a weight of 0 still reaches them'


def test_a_teacher_at_chance_level_and_a_missing_file_end_with_a_message(tmp_path, run_tool):
    for file, text in (
        ('random', 'this teacher is random'),
        (f'{tmp_path}/no.pth', 'weight file: expected a file'),
    ):
        options = ['--cfg-options', f'model.teacher.checkpoint={file}']
        done = run_tool('preflight.py', CONFIG, '--steps', 1, *options, check=False)
        assert text in done.stdout + done.stderr and bool(done.returncode) == (file != 'random')


@pytest.mark.parametrize('flag', [['--steps', '0'], ['--images', '-1']])
def test_senseless_numbers_are_refused(flag, run_tool):
    done = run_tool('preflight.py', CONFIG, *flag, check=False)
    assert done.returncode == 2 and 'expected --steps >= 1 and --images >= 0' in done.stderr
