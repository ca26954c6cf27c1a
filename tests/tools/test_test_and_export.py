"""tools/test.py, export_student.py and print_config.py."""

import json

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from mmpretrain import get_model

from hetkd.apis import export_student, load_config, load_student, student_config
from hetkd.errors import UserError
from hetkd.evaluation import read_predictions
from hetkd.registry import DATASETS, MODELS
from hetkd.testing import micro_net


def metrics_of(run_tool, config, checkpoint, tmp_path, *flags):
    out = tmp_path / 'metrics.json'
    done = run_tool(
        'test.py', config, checkpoint, '--work-dir', tmp_path, '--out', out, '--out-item', 'metrics', *flags
    )
    assert len(done.stdout.splitlines()) <= 3 and 'test on 600 images' in done.stdout and not done.stderr
    return json.loads(out.read_text())


def test_a_distillers_checkpoint_and_its_exported_student_test_alike(short_run, exported, run_tool, tmp_path):
    """No teacher file is needed: the one of the config does not exist."""
    first = metrics_of(run_tool, short_run.config, short_run.checkpoint, tmp_path)
    second = metrics_of(run_tool, short_run.config, exported, tmp_path)
    assert first == second
    assert 'epoch 2/2' in short_run.log and f'accuracy/top1: {first["accuracy/top1"]:.4g}' in short_run.log


def test_the_config_that_training_left_stays_and_can_be_tested_itself(short_run, run_tool):
    config = short_run.work_dir / short_run.config.name
    before = config.read_text()
    assert "type='MLDRKD'" in before
    run_tool('test.py', config, short_run.checkpoint)
    assert config.read_text() == before


def test_predictions_and_pictures(short_run, exported, run_tool, tmp_path):
    out = tmp_path / 'predictions.npz'
    flags = ['--out', out, '--show-dir', tmp_path / 'shown', '--interval', 100]
    run_tool('test.py', short_run.config, exported, '--work-dir', tmp_path, *flags)
    predictions = read_predictions(out)
    assert len(predictions) == 600
    assert predictions[0]['pred_score'].sum() == pytest.approx(1, abs=1e-5)
    pictures = list((tmp_path / 'shown').rglob('*.png'))
    assert pictures and pictures[0].stat().st_size > 500


@pytest.mark.parametrize('held', [False, True], ids=['pipeline', 'in memory'])
def test_time_augmentation_averages_an_image_and_its_mirror(held, short_run, exported, run_tool, tmp_path):
    config = short_run.config
    if held:
        config = tmp_path / 'config.py'
        data = "dict(_delete_=True, type='InMemory', dataset=dict(type='Digits', split='test'))"
        view = "dict(type='BatchResizeCentreCrop', resize=16, crop=16, interpolation='bilinear')"
        config.write_text(
            f'_base_ = {str(short_run.config)!r}\ntest_dataloader = dict(dataset={data})\n'
            f"data_preprocessor = dict(type='BatchViewPreprocessor', test_view={view})\n"
        )
    scores = []
    for name, flags in (('plain', []), ('flipped', ['--tta'])):
        out = tmp_path / f'{name}.npz'
        run_tool('test.py', config, exported, '--work-dir', tmp_path, '--out', out, *flags)
        predictions = read_predictions(out)
        scores.append(predictions[0]['pred_score'])
        assert all(x['pred_label'] == x['pred_score'].argmax() for x in predictions)
    classifier = MODELS.build(student_config(Config.fromfile(short_run.config))).eval()
    load_student(classifier, str(exported))
    dataset = DATASETS.build(Config.fromfile(short_run.config).test_dataloader.dataset)
    image = classifier.data_preprocessor(dict(inputs=dataset[0]['inputs'][None]))['inputs']
    with torch.no_grad():
        plain, mirrored = (classifier(x).softmax(1)[0] for x in (image, image.flip(-1)))
    # In memory the resized pixels are equal within a level.
    near = dict(atol=1e-4, rtol=0) if held else {}
    torch.testing.assert_close(torch.from_numpy(scores[0]), plain, **near)
    torch.testing.assert_close(torch.from_numpy(scores[1]), (plain + mirrored) / 2, **near)
    assert not torch.allclose(plain, mirrored, atol=3e-4), 'more than twice of near'


def test_hooks_of_training_do_not_stand_in_the_way(short_run, exported, run_tool, tmp_path):
    early = "custom_hooks = [dict(type='EarlyStoppingHook', monitor='accuracy/top1')]"
    average = "default_hooks = dict(student_ema=dict(type='StudentEMAHook'))"
    (tmp_path / 'own.py').write_text(f"_base_ = ['{short_run.config}']\n{early}\n{average}\n")
    flags = ['--work-dir', tmp_path, '--tta', '--out', tmp_path / 'x.json']
    run_tool('test.py', tmp_path / 'own.py', exported, *flags)
    assert 'accuracy/top1' in (tmp_path / 'x.json').read_text()


def test_out_item_needs_out(run_tool):
    done = run_tool('test.py', 'x.py', 'y.pth', '--out-item', 'metrics', check=False)
    assert done.returncode and '--out-item: expected --out FILE as well' in done.stderr


def test_testing_a_checkpoint_of_another_net_is_refused(short_run, run_tool, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'x': torch.ones(1)}, path)
    done = run_tool('test.py', short_run.config, path, '--work-dir', tmp_path, check=False)
    assert done.returncode and 'Missing key' in done.stderr and 'Unexpected key' in done.stderr


def test_mmpretrain_loads_the_student_bit_for_bit(short_run, exported):
    content = torch.load(exported, weights_only=True)
    trained = torch.load(short_run.checkpoint, weights_only=False)['state_dict']
    prefix = 'student.model.'
    expected = {k[len(prefix) :]: v for k, v in trained.items() if k.startswith(prefix)}
    assert list(content['state_dict']) == list(expected)
    assert all(torch.equal(v, expected[k]) for k, v in content['state_dict'].items())
    assert content['meta']['dataset_meta']['classes'] == [str(i) for i in range(10)]

    plain = get_model(str(exported.with_suffix('.py')), pretrained=str(exported)).eval()
    missing, unexpected = plain.load_state_dict(content['state_dict'], strict=False)
    assert not missing and not unexpected
    classifier = MODELS.build(student_config(Config.fromfile(short_run.config))).eval()
    load_student(classifier, str(short_run.checkpoint))
    images = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(plain(images), classifier(images))


def test_an_export_replaces_no_config_of_a_run(short_run, run_tool, tmp_path):
    config = tmp_path / 'my.py'
    Config.fromfile(short_run.config).dump(config)
    before = config.read_text()
    with pytest.raises(UserError, match='--out: expected a name whose .py is not the config of the run'):
        export_student(Config.fromfile(config), str(short_run.checkpoint), str(tmp_path / 'my.pth'))
    assert config.read_text() == before and not (tmp_path / 'my.pth').exists()


def test_a_metric_of_tensors_is_written(short_run, run_tool, tmp_path):
    cfg, out = Config.fromfile(short_run.config), tmp_path / 'x.json'
    cfg.test_evaluator = dict(type='ConfusionMatrix')
    cfg.dump(tmp_path / 'my.py')
    flags = ['--work-dir', tmp_path, '--out', out, '--out-item', 'metrics']
    run_tool('test.py', tmp_path / 'my.py', short_run.checkpoint, *flags)
    (counts,) = json.loads(out.read_text()).values()
    assert np.sum(counts) == 600


def test_timm_loads_the_student_bit_for_bit(tmp_path):
    student = dict(
        type='TimmNet', model='resnet10t', num_classes=10, input_size=32, model_kwargs=dict(stem_width=8)
    )
    model = dict(type='MLDRKD', teacher=micro_net('vit', checkpoint='random'), student=student)
    distiller = MODELS.build(model).eval()
    torch.save(dict(state_dict=distiller.state_dict(), meta={}), tmp_path / 'epoch_1.pth')
    out = str(tmp_path / 'student.pth')
    config = export_student(Config(dict(model=model)), str(tmp_path / 'epoch_1.pth'), out)
    assert config == ''
    plain = timm.create_model('resnet10t', num_classes=10, stem_width=8, checkpoint_path=out).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(plain(images), distiller(images))


def test_an_exported_student_can_teach(exported):
    cfg = load_config('configs/mldrkd/vit-micro_cnn-micro_digits.py', method='scratch')
    net = MODELS.build(dict(cfg.model.student, num_classes=10, checkpoint=str(exported)))
    assert net.classes == [str(i) for i in range(10)]


def test_a_model_without_a_student_is_refused():
    with pytest.raises(UserError, match='expected a model with a student'):
        student_config(Config(dict(model=dict(type='ImageClassifier'))))


def test_print_config_shows_the_merged_config(run_tool):
    printed = run_tool(
        'misc/print_config.py',
        'configs/mldrkd/deit-t_res18_cifar100.py',
        '--cfg-options',
        'train_cfg.max_epochs=7',
    ).stdout
    assert (
        'max_epochs=7' in printed
        and "type='MLDRKD'" in printed
        and "model='deit_tiny_patch16_224'" in printed
    )
