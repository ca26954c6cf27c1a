"""A trained student: init_model, inference, deployment, publishing."""

import hashlib
import json
import os
import re
import shutil
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, default_collate
from mmpretrain import ImageClassificationInferencer

from hetkd.apis import (
    export_student,
    find_config,
    inference_model,
    init_model,
    load_config,
    load_student,
    publish_student,
    student_config,
)
from hetkd.apis.deploy import (
    FORMATS,
    Deployed,
    build_deployed,
    build_teacher,
    check_images,
    export_program,
    load_onnx,
    load_program,
)  # fmt: skip
from hetkd.apis.shipped import module_of
from hetkd.errors import UserError
from hetkd.registry import DATASETS, MODELS, TRANSFORMS
from hetkd.testing import micro_net
from tests.conftest import ROOT, tool_runner
from tests.test_docs import blocks


@pytest.fixture(scope='module')
def digit(tmp_path_factory):
    """A test image of the digits as a file."""
    dataset = DATASETS.build(dict(type='Digits', split='test', pipeline=[]))
    path = tmp_path_factory.mktemp('image') / 'digit.png'
    cv2.imwrite(str(path), dataset[0]['img'])
    return path


def test_the_mean_of_several_checkpoints_is_exported(short_run, tmp_path, run_tool):
    plain = torch.load(short_run.checkpoint, weights_only=True)['state_dict']
    moved = {key: x + 2 if x.is_floating_point() else x for key, x in plain.items()}
    torch.save(dict(state_dict=moved), tmp_path / 'moved.pth')
    files = {}
    for name, more in (('one', []), ('two', ['--mean-with', tmp_path / 'moved.pth'])):
        args = short_run.config, short_run.checkpoint, *more, '--out', tmp_path / f'{name}.pth'
        run_tool('model_converters/export_student.py', *args)
        files[name] = torch.load(tmp_path / f'{name}.pth', weights_only=True)['state_dict']
    for key, value in files['one'].items():
        expected = value + 1 if value.is_floating_point() else value
        torch.testing.assert_close(files['two'][key], expected), key


def test_checkpoints_of_other_classes_have_no_mean(short_run, tmp_path):
    content = torch.load(short_run.checkpoint, weights_only=True)
    content['meta']['dataset_meta']['classes'] = content['meta']['dataset_meta']['classes'][::-1]
    torch.save(content, tmp_path / 'turned.pth')
    paths = [str(short_run.checkpoint), str(tmp_path / 'turned.pth')]
    with pytest.raises(UserError, match='turned.pth: expected classes as those of'):
        export_student(load_config(str(short_run.config)), paths, str(tmp_path / 'mean.pth'))
    assert not (tmp_path / 'mean.pth').exists()


def untrained(cfg, tmp_path):
    """A config's student with random weights, as a checkpoint."""
    classifier = MODELS.build(student_config(cfg)).eval()
    torch.save(dict(state_dict=classifier.state_dict()), tmp_path / 'epoch_1.pth')
    return classifier, str(tmp_path / 'epoch_1.pth')


def colours(size=40):
    """An image that differs in RGB and BGR."""
    picture = np.random.default_rng(0).integers(0, 80, (size, size, 3), dtype=np.uint8)
    return picture + np.array([0, 60, 170], dtype=np.uint8)


def main_of(path, *args):
    """Run a script in this process."""
    module_of(ROOT / path).main([str(x) for x in args])


def test_a_checkpoint_its_export_and_mmpretrains_inferencer_agree(short_run, exported, digit):
    dataset = DATASETS.build(load_config(short_run.config).test_dataloader.dataset)
    model = init_model(short_run.config, str(short_run.checkpoint))
    batch = model.data_preprocessor(dict(inputs=dataset[0]['inputs'][None]))
    with torch.no_grad():
        expected = model(batch['inputs']).softmax(1)[0].numpy()
    plain = str(exported.with_suffix('.py'))
    results = [
        inference_model(model, str(digit)),
        inference_model(init_model(short_run.config, str(exported)), str(digit)),
        inference_model(init_model(plain, str(exported)), str(digit)),
        inference_model(
            init_model(Config.fromfile(plain), str(short_run.checkpoint)), cv2.imread(str(digit))
        ),
        ImageClassificationInferencer(plain, str(exported))(str(digit))[0],
        ImageClassificationInferencer(model)(str(digit))[0],
    ]
    for result in results:
        np.testing.assert_array_equal(result['pred_scores'], expected)
        assert result['pred_label'] == expected.argmax() and result['pred_class'] == str(expected.argmax())
        assert result['pred_score'] == expected.max()


@pytest.mark.parametrize(
    'name', ['deit-t_res18_cifar100_32px', 'vit-s_res18_cub'], ids=['in-memory', 'files']
)
def test_an_image_file_is_seen_in_the_colours_of_the_data_set(name, tmp_path):
    cfg = load_config(f'hetkd::mldrkd/{name}')
    classifier, checkpoint = untrained(cfg, tmp_path)
    cv2.imwrite(str(tmp_path / 'x.png'), colours(32)[..., ::-1])
    loaded = dict(img_path=str(tmp_path / 'x.png')) if name.endswith('cub') else dict(img=colours(32))
    steps = cfg.test_dataloader.dataset.get('pipeline', [dict(type='PackInputs')])  # as they are
    pipeline = Compose([TRANSFORMS.build(x) for x in steps])
    inputs = classifier.data_preprocessor(dict(inputs=pipeline(loaded)['inputs'][None]))['inputs']
    with torch.no_grad():
        expected = classifier(inputs).softmax(1)[0].numpy()
    result = inference_model(init_model(cfg, checkpoint), str(tmp_path / 'x.png'))
    np.testing.assert_allclose(result['pred_scores'], expected, atol=1e-6)
    other = inference_model(init_model(cfg, checkpoint), colours(32))
    assert np.abs(other['pred_scores'] - expected).max() > 1e-4, 'RGB where BGR is expected'


def test_a_timm_student_predicts(tmp_path, digit):
    cfg = load_config('hetkd::teachers/vit-micro_digits')
    _, checkpoint = untrained(cfg, tmp_path)
    result = inference_model(init_model(cfg, checkpoint, device='cpu'), str(digit))
    assert result['pred_scores'].sum() == pytest.approx(1, abs=1e-5)


def test_weights_of_another_net_are_refused(exported, tmp_path):
    cfg = Config.fromfile(exported.with_suffix('.py'))
    cfg.model.backbone.base_channels = 16
    cfg.model.head.in_channels = 128
    with pytest.raises(UserError, match='expected the weights of ImageClassifier exactly as configured'):
        init_model(cfg, str(exported))


def test_a_config_of_the_package_is_found_by_name():
    path = find_config('hetkd::hcd/vit-micro_cnn-micro_digits')
    assert path == find_config('hetkd::hcd/vit-micro_cnn-micro_digits.py')
    assert os.path.samefile(path, ROOT / 'configs/hcd/vit-micro_cnn-micro_digits.py')
    assert find_config(path) == path
    with pytest.raises(UserError, match="got 'hetkd::hcd/vit-micro_digits'; nearest: .*hetkd::hcd/vi"):
        load_config('hetkd::hcd/vit-micro_digits')


def test_the_image_demo_prints_the_class_and_draws_it(short_run, exported, digit, tmp_path, capsys):
    flags = ['--show-dir', tmp_path]
    main_of('demo/image_demo.py', short_run.config, exported, '--image', digit, *flags)
    no_image, no_file = ('none.png', exported, '--image: expected an image'), (digit, 'x', 'check the path')
    for image, file, words in (no_image, no_file):
        with pytest.raises(UserError, match=words):
            main_of('demo/image_demo.py', image, short_run.config, file)  # mmpretrain's order
    printed = capsys.readouterr().out
    expected = inference_model(init_model(short_run.config, str(exported)), str(digit))
    expected.pop('pred_scores')
    assert json.loads(printed) == expected
    drawn = cv2.imread(str(tmp_path / 'digit.png'))
    assert drawn is not None and (drawn != cv2.imread(str(digit))).any()


@pytest.mark.parametrize(
    'kind, suffix, load', [('onnx', 'onnx', load_onnx), ('torch-export', 'pt2', load_program)]
)
def test_an_exported_file_gives_the_logits_of_the_checkpoint(kind, suffix, load, short_run, tmp_path, capsys):
    if kind == 'onnx':
        pytest.importorskip('onnxscript', reason='the extra deploy')
        pytest.importorskip('onnxruntime', reason='the extra deploy')
    out = tmp_path / f'student.{suffix}'
    flags = ['--format', kind, '--out', out, '--images', 40, '--repeats', 5]
    if kind == 'onnx':
        printed = tool_runner('deployment/export.py', short_run.config, short_run.checkpoint, *flags).stdout
    else:
        main_of('tools/deployment/export.py', short_run.config, short_run.checkpoint, *flags)
        printed = capsys.readouterr().out
    record = json.loads((tmp_path / f'student.{suffix}.json').read_text())
    assert f'on 40 test images: {record["difference"]:.2e}' in printed and record['difference'] < 1e-5
    assert record['input'] == [3, 16, 16] and record['classes'] == [str(i) for i in range(10)]
    assert record['table']['student']['file_mib'] == out.stat().st_size / 2**20
    assert record['table']['teacher']['parameters'] > record['table']['student']['parameters'] > 1e5
    assert all(record['table'][x][f'batch_{n}_ms'] > 0 for x in ('teacher', 'student') for n in (1, 16))
    assert re.search(r'\| teacher \|.*\n\| student \|', printed)
    cfg = load_config(short_run.config)
    _, classifier = build_deployed(cfg, str(short_run.checkpoint))
    images, expected = check_images(cfg, classifier, 7)
    assert images.dtype == torch.uint8 and len(images) == 7
    run = load(str(out))
    torch.testing.assert_close(run(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(run(images[:1]), expected[:1], rtol=1e-4, atol=1e-5)
    if kind == 'onnx':
        with pytest.raises(Exception, match='Unexpected input data type'):
            run(images.float() / 255)


def test_a_file_that_differs_is_not_written(short_run, tmp_path):
    out = tmp_path / 'student.pt2'
    flags = ['--format', 'torch-export', '--out', out, '--tolerance', -1]
    with pytest.raises(UserError, match='expected the logits of the checkpoint within -1, got a difference'):
        main_of('tools/deployment/export.py', short_run.config, short_run.checkpoint, *flags)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('kind', ['vim', 'vmamba'])
@pytest.mark.parametrize('format', FORMATS)
def test_a_mamba_student_is_exported_for_a_batch_of_any_size(kind, format, tmp_path):
    export, load, suffix = FORMATS[format]
    torch.manual_seed(0)
    net = MODELS.build(micro_net(kind, checkpoint='random'))
    model = Deployed(net, torch.nn.Module(), is_rgb=True).eval()
    images = torch.randint(0, 256, (5, 3, *net.probe_size), dtype=torch.uint8)
    with torch.no_grad():
        expected = model(images)
    export(model, images, str(tmp_path / f'x{suffix}'))
    run = load(str(tmp_path / f'x{suffix}'))
    for count in (1, 2, 5):
        torch.testing.assert_close(run(images[:count]), expected[:count], atol=1e-4, rtol=1e-4)


class Undecided(torch.nn.Module):
    """A net with data-dependent control flow."""

    def forward(self, x):
        return x if x.mean() > 0 else -x


def test_a_net_that_torch_cannot_follow_is_named():
    model = Deployed(Undecided(), torch.nn.Module(), is_rgb=True)
    with pytest.raises(UserError, match='Undecided: expected a net that torch.export follows.*init_model'):
        export_program(model, torch.zeros(2, 3, 16, 16, dtype=torch.uint8), 'x.pt2')


def test_the_name_says_the_format(short_run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main_of(
            'tools/deployment/export.py',
            short_run.config,
            short_run.checkpoint,
            '--out',
            tmp_path / 'student.bin',
        )
    assert "expected a file *.onnx or *.pt2, got '" in capsys.readouterr().err


@pytest.mark.parametrize('count', [0, 1])
def test_one_image_is_enough_for_the_check_and_none_is_not(count, short_run, tmp_path, capsys):
    out = tmp_path / 'new/student.pt2'
    flags = ['--format', 'torch-export', '--out', out, '--images', count, '--repeats', 1]
    if count == 0:
        with pytest.raises(SystemExit):
            main_of('tools/deployment/export.py', short_run.config, short_run.checkpoint, *flags)
        assert '--images: expected at least 1, got 0' in capsys.readouterr().err
    else:
        main_of('tools/deployment/export.py', short_run.config, short_run.checkpoint, *flags)
        assert load_program(str(out))(torch.zeros(3, 3, 16, 16, dtype=torch.uint8)).shape == (3, 10)


@pytest.mark.parametrize('to_rgb', [True, False])
def test_a_deployed_net_takes_rgb_whatever_the_files_order(to_rgb, tmp_path):
    for label in 'ab':
        (tmp_path / 'val' / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'val' / label / 'x.png'), colours()[..., ::-1])
    cfg = load_config('hetkd::mldrkd/vit-micro_cnn-micro_digits', method='scratch')
    cfg.data_preprocessor.update(to_rgb=to_rgb, mean=[10.0, 100.0, 200.0], std=[20.0, 30.0, 40.0])
    pipeline = [dict(type='LoadImage'), *cfg.test_dataloader.dataset.pipeline]
    cfg.test_dataloader.dataset = dict(
        type='CustomDataset', data_root=str(tmp_path), data_prefix='val', pipeline=pipeline
    )
    _, checkpoint = untrained(cfg, tmp_path)
    deployed, classifier = build_deployed(cfg, checkpoint)
    images, expected = check_images(cfg, classifier, 2)
    means = images.float().mean((0, 2, 3))
    assert means[0] < means[1] < means[2], 'RGB'
    torch.testing.assert_close(deployed(images), expected)
    assert not torch.allclose(
        Deployed(deployed.net, classifier.data_preprocessor, not to_rgb)(images), expected
    )
    assert build_teacher(cfg, classifier) is None


def test_a_published_file_is_the_student_alone_under_its_digest(short_run, exported, tmp_path, capsys):
    path = publish_student(str(short_run.checkpoint), str(tmp_path / 'res18.pth'))
    content = Path(path).read_bytes()
    assert path == f'{tmp_path}/res18-{hashlib.sha256(content).hexdigest()[:8]}.pth'
    assert os.listdir(tmp_path) == [os.path.basename(path)]
    mine, theirs = (torch.load(x, weights_only=True) for x in (path, exported))
    assert set(mine) == {'state_dict', 'meta'} and mine['meta'] == theirs['meta']
    assert list(mine['state_dict']) == list(theirs['state_dict'])
    assert all(torch.equal(x, theirs['state_dict'][key]) for key, x in mine['state_dict'].items())
    assert os.path.getsize(path) < short_run.checkpoint.stat().st_size / 2
    assert str(short_run.work_dir).encode() not in content
    main_of('tools/model_converters/publish_model.py', exported, tmp_path / 'again.pth')
    again = capsys.readouterr().out
    assert path.split('-')[-1] == again.strip().split('-')[-1], 'the content alone'
    with pytest.raises(UserError, match='expected a folder that exists'):
        publish_student(path, str(tmp_path / 'absent/x.pth'))


def test_the_pages_python_runs(exported, digit, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime', reason='the extra deploy')
    for suffix in ('.py', '.pth'):
        (tmp_path / f'student{suffix}').write_bytes(exported.with_suffix(suffix).read_bytes())
    (tmp_path / 'image.png').write_bytes(digit.read_bytes())
    monkeypatch.chdir(tmp_path)
    config = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
    main_of('tools/deployment/export.py', config, 'student.pth', '--out', 'student.onnx', '--repeats', 1)
    main_of(
        'tools/deployment/export.py',
        config,
        'student.pth',
        '--format',
        'torch-export',
        '--out',
        'student.pt2',
        '--repeats',
        1,
    )
    python = blocks(ROOT / 'docs/en/use_the_student.md')
    assert len(python) >= 3
    for block in python:
        exec(compile(block, 'docs', 'exec'), {})


@pytest.fixture
def batched(short_run):
    """The short run's config with test views of whole batches, as for data in memory."""
    cfg = load_config(str(short_run.config))
    view = dict(type='BatchResizeCentreCrop', resize=20, crop=16, interpolation='bilinear')
    cfg.data_preprocessor.update(type='BatchViewPreprocessor', to_rgb=False, test_view=view)
    for name in ('val_dataloader', 'test_dataloader'):
        dataset = dict(type='InMemory', dataset=dict(type='Digits', split='test'))
        cfg[name].dataset = Config(dict(dataset=dataset)).dataset
    return cfg


def test_a_run_with_views_of_batches_is_predicted_exported_and_deployed(
    batched, short_run, digit, tmp_path, capsys, monkeypatch
):
    batched.dump(str(tmp_path / 'config.py'))
    classifier = MODELS.build(student_config(batched)).eval()
    load_student(classifier, str(short_run.checkpoint))
    dataset = DATASETS.build(batched.test_dataloader.dataset)
    data = classifier.data_preprocessor(default_collate([dataset[0]]))
    with torch.no_grad():
        expected = classifier(data['inputs']).softmax(1)[0].numpy()
    model = init_model(str(tmp_path / 'config.py'), str(short_run.checkpoint))
    result = inference_model(model, str(digit))
    np.testing.assert_allclose(result['pred_scores'], expected, atol=0.01)  # pixels are equal within a level
    assert result['pred_class'] == str(expected.argmax())

    export_student(batched, str(short_run.checkpoint), str(tmp_path / 'student.pth'))
    plain = ImageClassificationInferencer(str(tmp_path / 'student.py'), str(tmp_path / 'student.pth'))
    np.testing.assert_allclose(plain(str(digit))[0]['pred_scores'], result['pred_scores'], atol=1e-5)

    flags = ['--out', tmp_path / 'student.onnx', '--images', 8, '--repeats', 1]
    main_of('tools/deployment/export.py', tmp_path / 'config.py', short_run.checkpoint, *flags)
    record = json.loads((tmp_path / 'student.onnx.json').read_text())
    assert record['resize_short'] == 20 and record['input'] == [3, 16, 16]
    geometry = import_module('tools.deployment.export').resizing_of
    edge, middle, whole = (dict(type=x, scale=20) for x in ('ResizeEdge', 'CenterCrop', 'Resize'))
    for steps, expected in {
        (): None,
        ('whole',): None,
        ('edge', 'middle'): 20,
        ('whole', 'middle'): '',
        ('middle',): '',
        ('long', 'middle'): '',
    }.items():
        made = dict(edge=edge, middle=middle, whole=whole, long=dict(edge, edge='long'))
        pipeline = [ConfigDict(made[x]) for x in steps] + [ConfigDict(type='PackInputs')]
        assert geometry(pipeline).get('resize_short', '') == expected, steps
    assert record['interpolation'] == 'bilinear'
    shutil.copy(digit, tmp_path / 'image.png')
    monkeypatch.chdir(tmp_path)
    (block,) = (x for x in blocks(ROOT / 'docs/en/use_the_student.md') if 'onnxruntime' in x)
    capsys.readouterr()
    exec(compile(block, 'docs', 'exec'), found := {})
    assert capsys.readouterr().out.split()[-1] == result['pred_class']
    logits = torch.from_numpy(found['logits'])
    np.testing.assert_allclose(logits.softmax(1)[0], result['pred_scores'], atol=1e-4)


def test_files_that_are_held_in_memory_are_deployed_in_their_colours(batched, short_run, tmp_path):
    (tmp_path / 'images/a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images/a/x.png'), colours(16)[..., ::-1])
    batched.data_preprocessor.test_view = None
    inner = dict(type='CustomDataset', data_root=str(tmp_path / 'images'))
    batched.test_dataloader.dataset.dataset = inner
    deployed, classifier = build_deployed(batched, str(short_run.checkpoint))
    images, logits = check_images(batched, classifier, 1)
    np.testing.assert_array_equal(images[0].permute(1, 2, 0).numpy(), colours(16))
    with torch.no_grad():
        torch.testing.assert_close(deployed(images), logits)


def test_an_export_that_cannot_be_finished_leaves_nothing(short_run, tmp_path):
    cfg = load_config(str(short_run.config))
    cfg.test_dataloader.dataset.pop('pipeline')
    with pytest.raises(AttributeError):
        export_student(cfg, str(short_run.checkpoint), str(tmp_path / 'student.pth'))
    assert list(tmp_path.iterdir()) == []
