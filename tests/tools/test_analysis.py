"""tools/analysis_tools and tools/visualization, on a short real run; numbers are recomputed."""

import json
import re
import shlex
import shutil
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix

from hetkd.apis import export_student, load_config
from hetkd.apis.analysis import open_run, random_config, save_numbers
from hetkd.errors import UserError
from hetkd.evaluation import DumpPredictions
from hetkd.registry import DATASETS, MODELS
from tests.conftest import ROOT
from tests.tools.conftest import CONFIG

FOLDERS = dict.fromkeys(
    ('agreement', 'analyze_logs', 'analyze_results', 'confusion_matrix', 'get_flops'), 'analysis_tools'
)


def folder_of(name):
    """The folder of a tool."""
    return FOLDERS.get(name, 'visualization')


def run(name, *args):
    """Call a tool's main in this process."""
    module = import_module(f'tools.{folder_of(name)}.{name}')
    return module.main([str(x) for x in args])


def numbers(picture):
    """The JSON beside a picture; checks that the picture is an image."""
    assert min(Image.open(picture).size) > 50
    return json.loads(picture.with_suffix('.json').read_text())


@pytest.fixture(scope='module')
def trained(short_run):
    """The config in the run's work dir, and both nets' outputs on all test images."""
    config = short_run.work_dir / 'vit-micro_cnn-micro_digits.py'
    cfg = load_config(str(config))
    init_default_scope('hetkd')
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    model.load_state_dict(torch.load(short_run.checkpoint, weights_only=True)['state_dict'])
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    packed = [dataset[i] for i in range(len(dataset))]
    inputs = model.data_preprocessor(dict(inputs=torch.stack([x['inputs'] for x in packed])))['inputs']
    with torch.no_grad():
        student, teacher = (x(inputs, stages=True, embedding=True) for x in (model.student, model.teacher))
    target = torch.tensor([int(x['data_samples'].gt_label) for x in packed])
    return SimpleNamespace(
        config=config, cfg=cfg, checkpoint=short_run.checkpoint, work_dir=short_run.work_dir, model=model,
        dataset=dataset, inputs=inputs, student=student, teacher=teacher, target=target,
    )  # fmt: skip


@pytest.fixture(scope='module')
def hcd_run(tmp_path_factory, tiny_teacher):
    """Config options and a checkpoint of an untrained HCD."""
    init_default_scope('hetkd')
    options = {'model.teacher.checkpoint': str(tiny_teacher)}
    cfg = load_config(CONFIG.replace('mldrkd', 'hcd'), options)
    torch.manual_seed(1)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    path = tmp_path_factory.mktemp('hcd') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    flags = ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]
    return SimpleNamespace(config=CONFIG.replace('mldrkd', 'hcd'), checkpoint=path, flags=flags, model=model)


def test_agreement_counts_who_is_right(trained, tmp_path):
    out = tmp_path / 'agreement.png'
    run(
        'agreement',
        trained.config,
        trained.checkpoint,
        '--out',
        out,
        '--show-dir',
        tmp_path / 'shown',
        '--topk',
        7,
    )
    found = numbers(out)
    labels = [x.logits.argmax(1) for x in (trained.student, trained.teacher)]
    right = [x == trained.target for x in labels]
    assert found['groups'] == {
        'both_right': int((right[0] & right[1]).sum()),
        'teacher_only': int((~right[0] & right[1]).sum()),
        'student_only': int((right[0] & ~right[1]).sum()),
        'both_wrong': int((~right[0] & ~right[1]).sum()),
    }
    assert found['images'] == sum(found['groups'].values()) == 600
    assert found['agreement'] == pytest.approx(100 * float((labels[0] == labels[1]).float().mean()))
    p, q = (x.logits.double().softmax(1) for x in (trained.teacher, trained.student))
    kl = (p * (p / q).log()).sum(1)
    assert found['kl'] == pytest.approx(float(kl.mean()), rel=1e-4)
    # The same value as in the run's validation.
    logged = json.loads((trained.work_dir / 'results.json').read_text())['metrics']['2']
    for name, key in (('agreement', 'teacher/agreement'), ('kl', 'teacher/kl')):
        assert found[name] == pytest.approx(logged[key], rel=1e-2)
    assert found['student']['ece'] == pytest.approx(logged['calibration/ece'], rel=1e-3)
    assert found['student']['accuracy'] == pytest.approx(logged['accuracy/top1'], rel=1e-5)
    assert found['teacher']['accuracy'] == pytest.approx(logged['teacher/top1'], rel=1e-5)
    assert numbers(tmp_path / 'shown/most_different.png')['sample_idx'] == kl.topk(7).indices.tolist()


def test_the_numbers_of_a_picture_replace_no_record(tmp_path):
    (tmp_path / 'results.json').write_text('{}')
    with pytest.raises(UserError, match='--out: expected another name, got .*results.png'):
        save_numbers(str(tmp_path / 'results.png'), dict(a=1))
    assert (tmp_path / 'results.json').read_text() == '{}'


def test_agreement_takes_some_images_and_an_exported_student(trained, tmp_path):
    student = tmp_path / 'student.pth'
    export_student(trained.cfg, str(trained.checkpoint), str(student))
    run('agreement', trained.config, student, '--out', tmp_path / 'x.png', '--max-images', 7)
    spread = np.linspace(0, 599, 7).round().astype(int)
    labels = trained.student.logits[spread].argmax(1)
    accuracy = 100 * float((labels == trained.target[spread]).float().mean())
    assert numbers(tmp_path / 'x.png')['student']['accuracy'] == pytest.approx(accuracy)


def plain_cka(x, y):
    """Unbiased linear CKA on one batch, straight from the formula."""

    def hsic(k, l):  # noqa: E741
        n = len(k)
        k, l = (a - a.diagonal().diag() for a in (k, l))  # noqa: E741
        pairs = (
            (k * l).sum() + k.sum() * l.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * (k.sum(0) * l.sum(0)).sum()
        )
        return pairs / n / (n - 3)

    k, l = (a.flatten(1).double() @ a.flatten(1).double().T for a in (x, y))  # noqa: E741
    return float(hsic(k, l) / (hsic(k, k) * hsic(l, l)).sqrt())


def test_cka_of_all_stages_before_and_after(trained, tmp_path):
    out = tmp_path / 'cka.png'
    options = ['--cfg-options', 'test_dataloader.batch_size=50']
    run('vis_cka', trained.config, 'random', trained.checkpoint, '--max-images', 50, '--out', out, *options)
    before, after = numbers(out)['cka']
    some = np.linspace(0, 599, 50).round().astype(int)
    expected = [[plain_cka(t[some], s[some]) for s in trained.student.stages] for t in trained.teacher.stages]
    np.testing.assert_allclose(after, expected, atol=1e-4)
    assert np.shape(before) == np.shape(after) and not np.allclose(before, after, atol=1e-2)


def test_relations_are_dfras(trained, tmp_path):
    out = tmp_path / 'relations.png'
    run('vis_relations', trained.config, trained.checkpoint, '--out', out, '--temperature', 2)
    found = numbers(out)
    matrices = {}
    for name in ('teacher', 'student'):
        z = getattr(trained, name).logits.double() / 2
        matrices[name] = (z[:, :, None] * z[:, None, :] / 10**0.5).softmax(1).mean(0)
        np.testing.assert_allclose(found[name], matrices[name], atol=1e-5)
    np.testing.assert_allclose(found['difference'], matrices['student'] - matrices['teacher'], atol=1e-5)


def test_fusion_weights_are_the_connectors(trained, tmp_path):
    out = tmp_path / 'fusion.png'
    run('vis_fusion', trained.config, trained.checkpoint, '--out', out)
    found, model = numbers(out), trained.model
    with torch.no_grad():
        descriptors = torch.stack(model.projector(trained.student.stages))
        weights = model.fusion.gate(descriptors).softmax(0)
    np.testing.assert_allclose(found['stage'], weights.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(found['stage_by_class'], weights.mean(1), atol=1e-5)
    np.testing.assert_allclose(found['stage_by_sample'], weights.mean(2), atol=1e-5)
    assert found['target'] == trained.target.tolist()


def test_sub_logits_are_the_connectors(trained, hcd_run, tmp_path):
    out = tmp_path / 'sub.png'
    run('vis_sublogits', hcd_run.config, hcd_run.checkpoint, '--out', out, *hcd_run.flags)
    found, model = numbers(out), hcd_run.model
    with torch.no_grad():
        student, teacher = model.student(trained.inputs, stages=True), trained.teacher
        raw = model.mapper(model.projector(student.stages), teacher.embedding)
        fused = raw + teacher.logits[:, None]
    for name, logits in (('raw', raw), ('fused', fused)):
        expected = 100 * (logits.argmax(-1) == trained.target[:, None]).float().mean(1)
        np.testing.assert_allclose(found['accuracy'][name], expected, atol=1e-3)
    cosines = torch.zeros(16, 16)
    for n, label in enumerate(trained.target):
        rest = torch.arange(10) != label
        vectors = torch.nn.functional.normalize(fused[:, n].reshape(16, 10)[:, rest], dim=1)
        cosines += vectors @ vectors.T / 600
    np.testing.assert_allclose(found['similarity'], cosines, atol=1e-4)


def test_another_method_and_an_exported_student_have_no_such_connectors(trained, hcd_run, tmp_path):
    out = ['--out', tmp_path / 'x.png']
    with pytest.raises(
        ValueError, match='vis_fusion: expected a run of MLDRKD, got HCD; take a config of configs/mldrkd'
    ):
        run('vis_fusion', hcd_run.config, hcd_run.checkpoint, *out)
    with pytest.raises(UserError, match='vis_sublogits: expected a run of HCD, got MLDRKD'):
        run('vis_sublogits', trained.config, trained.checkpoint, *out)
    student = tmp_path / 'student.pth'
    export_student(trained.cfg, str(trained.checkpoint), str(student))
    with pytest.raises(UserError, match='vis_fusion: expected a checkpoint of the run with its connectors'):
        run('vis_fusion', trained.config, student, *out)


def test_wrong_arguments_say_what_to_do(trained, tmp_path, capsys):
    with pytest.raises(UserError, match='agreement: expected a run with one teacher, got 0 .NetClassifier.'):
        run(
            'agreement',
            'configs/mldrkd/vit-micro_cnn-micro_digits.py',
            'random',
            '--method',
            'scratch',
            '--out',
            tmp_path / 'x.png',
        )
    with pytest.raises(UserError, match='--max-images: expected at least 1, got 0'):
        run(
            'vis_relations',
            trained.config,
            trained.checkpoint,
            '--max-images',
            0,
            '--out',
            tmp_path / 'x.png',
        )
    with pytest.raises(SystemExit):
        run('agreement', trained.config, trained.checkpoint, '--out', 'x.pdf')
    assert "expected a file *.png, got 'x.pdf'" in capsys.readouterr().err


def test_the_confusion_matrix_of_a_checkpoint_and_of_predictions(trained, tmp_path):
    expected = confusion_matrix(trained.target, trained.student.logits.argmax(1))
    run(
        'confusion_matrix',
        trained.config,
        trained.checkpoint,
        '--out',
        tmp_path / 'a.png',
        '--include-values',
    )
    predictions = predictions_of(trained, tmp_path / 'pred.npz')
    flags = ['--show-path', tmp_path / 'b.png', '--out', tmp_path / 'matrix.npy']
    run('confusion_matrix', trained.config, predictions, *flags)
    assert np.array_equal(numbers(tmp_path / 'a.png')['matrix'], expected)
    assert np.array_equal(numbers(tmp_path / 'b.png')['matrix'], expected)
    assert np.array_equal(np.load(tmp_path / 'matrix.npy'), expected)
    with pytest.raises(SystemExit):
        run('confusion_matrix', trained.config, trained.checkpoint)


@pytest.mark.parametrize('classes', [10, 100])
def test_names_beside_the_confusion_matrix_are_legible_and_apart(classes, tmp_path, monkeypatch):
    module, saved = import_module('tools.analysis_tools.confusion_matrix'), []
    monkeypatch.setattr(module, 'matrix_of', lambda *_: torch.eye(classes).long())
    images = SimpleNamespace(names=lambda count: [str(i) for i in range(count)])
    monkeypatch.setattr(module, 'Images', lambda *_: images)
    monkeypatch.setattr(Figure, 'savefig', lambda self, path, dpi, **_: saved.append((self, dpi)))
    run('confusion_matrix', CONFIG, 'any.pth', '--out', tmp_path / 'x.png')
    ((figure, dpi),) = saved
    pixels = figure.axes[0].get_yticklabels()[0].get_size() * dpi / 72
    pitch = figure.axes[0].get_window_extent().height / figure.dpi * dpi / classes
    assert 8 <= pixels <= pitch


def predictions_of(trained, path):
    """A predictions file, as written by tools/test.py --out."""
    scores = trained.student.logits.softmax(1)
    rows = [
        dict(sample_idx=i, gt_label=y[None], pred_label=s.argmax()[None], pred_score=s)
        for i, (s, y) in enumerate(zip(scores, trained.target))
    ]
    metric = DumpPredictions(str(path))
    assert metric.prefix, 'mmengine warns without one'
    metric.process(None, rows)
    metric.compute_metrics(metric.results)
    return path


def test_results_are_sorted_by_confidence(trained, tmp_path):
    run(
        'analyze_results',
        trained.config,
        predictions_of(trained, tmp_path / 'p.npz'),
        '--out-dir',
        tmp_path,
        '--topk',
        5,
    )
    score, label = trained.student.logits.softmax(1).max(1)
    for name, kept in (('success', label == trained.target), ('fail', label != trained.target)):
        found = [x['sample_idx'] for x in numbers(tmp_path / f'{name}.png')['images']]
        assert found == (score * kept).topk(5).indices.tolist()


def test_flops_are_shown_by_part(trained, tmp_path, capsys):
    run('get_flops', trained.config, '--out', tmp_path / 'x.png', '--shape', 16)
    found = numbers(tmp_path / 'x.png')
    assert found['shape'] == [16, 16]
    assert found['parameters'] == {
        'teacher': sum(x.numel() for x in trained.model.teacher.net.parameters()),
        'student': sum(x.numel() for x in trained.model.student.parameters()),
        'train_only': sum(
            x.numel() for m in (trained.model.projector, trained.model.fusion) for x in m.parameters()
        ),
    }
    share = 100 * found['step']['teacher'] / sum(found['step'].values())
    assert f'{share:.1f} %' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run('get_flops', trained.config, '--batch-size', 1)


def test_logs_of_several_runs_in_one_picture(trained, tmp_path, capsys):
    out = tmp_path / 'logs.png'
    file = next(trained.work_dir.glob('*/vis_data/scalars.json'))
    keys = ['loss_dfra_logit', 'lr', 'accuracy/top1']
    run(
        'analyze_logs',
        'plot_curve',
        trained.work_dir,
        file,
        '--legend',
        'a',
        'b',
        '--keys',
        *keys,
        '--out',
        out,
    )
    lines = [json.loads(x) for x in file.read_text().splitlines()]
    found = numbers(out)
    assert found['a'] == found['b'] and list(found['a']) == keys
    assert found['a']['lr']['value'] == [x['lr'] for x in lines if 'lr' in x]
    assert found['a']['lr']['epoch'][-1] == 2
    assert found['a']['accuracy/top1'] == {
        'epoch': [1, 2],
        'value': [x['accuracy/top1'] for x in lines if 'accuracy/top1' in x],
    }
    run(
        'analyze_logs',
        'cal_train_time',
        trained.work_dir,
        '--include-outliers',
        '--out',
        tmp_path / 'time.png',
    )
    mean = np.mean([x['time'] for x in lines if 'lr' in x])
    assert f'average iter time: {mean:.4f} s/iter' in capsys.readouterr().out
    assert numbers(tmp_path / 'time.png')[trained.work_dir.name]['mean'] == pytest.approx(mean)
    with pytest.raises(UserError, match=r"--keys: expected some of \[.*'loss_ce'.*\] of .*, got 'nothing'"):
        run('analyze_logs', 'plot_curve', file, '--keys', 'nothing', '--out', out)
    with pytest.raises(SystemExit):
        run('analyze_logs', 'plot_curve', file, file, '--out', out)
    assert 'expected 2 names that differ' in capsys.readouterr().err


@pytest.mark.parametrize('parameter', ['lr', 'wd'])
def test_the_schedule_is_that_of_the_run(parameter, trained, tmp_path):
    out = tmp_path / 'x.png'
    run('vis_scheduler', trained.config, '-p', parameter, '--out', out)
    found = numbers(out)
    assert found['steps_per_epoch'] == 2 and len(found[parameter]) == 4
    if parameter == 'lr':
        file = next(trained.work_dir.glob('*/vis_data/scalars.json'))
        logged = [json.loads(x)['lr'] for x in file.read_text().splitlines() if '"lr"' in x]
        # The log holds the mean of a window that begins with the first step.
        assert found['lr'][0] == pytest.approx(logged[0]) and found['lr'] == sorted(found['lr'])
    else:
        assert found['wd'] == [0.05] * 4
    with pytest.raises(UserError, match='expected at least one batch, got 20 images and batches of 25'):
        run('vis_scheduler', trained.config, '-d', 20, '-s', out, '--not-show')
    whole = ['--cfg-options', 'train_dataloader.drop_last=False']
    for size, steps in ((20, 1), (51, 3)):
        run('vis_scheduler', trained.config, '-d', size, '--out', out, *whole)
        assert numbers(out)['steps_per_epoch'] == steps


def test_mmpretrain_without_its_tools_is_named(monkeypatch, tmp_path):
    import mmpretrain

    from hetkd.apis.mmpretrain_tools import mmpretrain_tool

    monkeypatch.setattr(mmpretrain, '__file__', str(tmp_path / 'mmpretrain/__init__.py'))
    with pytest.raises(UserError, match='expected its tool visualization/vis_scheduler.py at'):
        mmpretrain_tool('visualization/vis_scheduler.py')


def test_both_nets_views_of_the_test_images(trained, tmp_path):
    """Denormalised, the student's view is the image; the teacher's has its own size and normalisation."""
    teacher = ['model.teacher.input_size=32', 'model.teacher.mean=[10,20,30]', 'model.teacher.std=[50,60,70]']
    flags = ['-p', 'test', '-n', 3, '-o', tmp_path, '--not-show', '--cfg-options', *teacher]
    run('browse_dataset', trained.config, *flags)
    found = numbers(tmp_path / 'test.png')
    assert found['size'] == {'student': [16, 16], 'teacher': [32, 32]}
    assert found['labels'] == [str(x) for x in trained.target[:3].tolist()]
    pixels = torch.stack([trained.dataset[i]['inputs'] for i in range(3)]).float() / 255
    np.testing.assert_allclose(found['mean']['student'], pixels.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found['mean']['teacher'], pixels.mean((0, 2, 3)), atol=0.02)


def test_training_views_are_those_of_the_first_step_and_mixed_ones_say_so(trained, tmp_path, run_tool):
    flags = ['-o', tmp_path, '--not-show']
    run('browse_dataset', trained.config, *flags)
    first = numbers(tmp_path / 'train.png')
    mix = [f'data_preprocessor.batch_augments.augments.{x}' for x in ('type=Mixup', 'alpha=0.8')]
    shown = run_tool('visualization/browse_dataset.py', trained.config, *flags, '--cfg-options', *mix)
    assert shown.stdout.startswith('written') and 'mmengine' not in shown.stderr
    second = numbers(tmp_path / 'train.png')
    assert first['sample_idx'] == second['sample_idx'] and len(first['labels']) == 8
    assert all(len(x) == 1 for x in first['labels'])
    assert any('\n' in x and x.split()[1] in '0123456789' for x in second['labels'])
    none = 'train_dataloader.dataset.labelled=0'
    for options in ([none], [none, *mix]):
        run('browse_dataset', trained.config, *flags, '--cfg-options', *options)
        assert numbers(tmp_path / 'train.png')['labels'] == ['no label'] * 8


def test_cam_of_both_nets(trained, tmp_path):
    out = tmp_path / 'cam.png'
    run('vis_cam', 5, trained.config, trained.checkpoint, '--teacher', '--save-path', out)
    found = numbers(out)
    assert found['student']['stage'] == 4 and found['teacher']['stage'] == 3
    assert found['student']['category'] == int(trained.student.logits[5].argmax())
    assert found['teacher']['score'] == pytest.approx(
        float(trained.teacher.logits[5].softmax(0).max()), rel=1e-4
    )
    # The deepest map is averaged and goes to a linear layer, so CAM's weights are those of the layer.
    weight = trained.model.student.model.head.fc.weight[found['student']['category']].detach()
    cam = (weight[:, None, None] * trained.student.stages[-1][5]).sum(0).relu()
    np.testing.assert_allclose(found['student']['cam'], cam / cam.max(), atol=1e-4)


def test_cam_of_an_image_file_without_a_teacher(trained, tmp_path):
    path = tmp_path / 'digit.png'
    Image.fromarray(trained.dataset.get_data_info(5)['img']).save(path)
    flags = ['--save-path', tmp_path / 'cam.png', '--stage', 2, '--target-category', 3]
    # No teacher is needed, so its file need not exist.
    run('vis_cam', CONFIG, trained.checkpoint, '--image', path, *flags)
    found = numbers(tmp_path / 'cam.png')
    assert list(found) == ['student'] and found['student']['stage'] == 2
    assert found['student']['score'] == pytest.approx(
        float(trained.student.logits[5].softmax(0)[3]), rel=1e-4
    )
    for flag, text in (
        (['--stage', 5], 'expected 1 to 4, got 5'),
        (['--target-category', 10], 'expected 0 to 9, got 10'),
    ):
        with pytest.raises(UserError, match=text):
            run('vis_cam', path, CONFIG, trained.checkpoint, *flags, *flag)
    with pytest.raises(UserError, match='expected indices below 600, got 600'):
        run('vis_cam', 600, CONFIG, trained.checkpoint, *flags)
    with pytest.raises(UserError, match='expected an image file or an index of the test set'):
        run('vis_cam', tmp_path / 'none.png', CONFIG, trained.checkpoint, *flags)


def test_tsne_of_both_embeddings(trained, tmp_path):
    out = tmp_path / 'tsne.png'
    flags = ['--class-idx', 3, 7, '--max-num-samples', 20, '--perplexity', 5, '--n-iter', 250]
    run('vis_tsne', trained.config, '--checkpoint', trained.checkpoint, '--out', out, *flags)
    found = numbers(out)
    chosen = sorted(i for y in (3, 7) for i in (trained.target == y).nonzero()[:20, 0].tolist())
    assert found['sample_idx'] == chosen and found['target'] == trained.target[chosen].tolist()
    assert list(found['points']) == ['student', 'teacher'] and np.shape(found['points']['student']) == (40, 2)
    embedding = trained.teacher.embedding[chosen].numpy()
    options = dict(perplexity=5, learning_rate=200, max_iter=250, init='random', random_state=0)
    expected = TSNE(**options).fit_transform(embedding)
    # t-SNE amplifies rounding; the distances after its first steps are stable.
    assert np.corrcoef(np.ravel(found['points']['teacher']), expected.ravel())[0, 1] > 0.9
    flags = ['--checkpoint', trained.checkpoint, '--out', out, *flags]
    run('vis_tsne', trained.config, *flags, '--vis-stage', 2)
    stage = trained.teacher.stages[1][chosen].mean((2, 3)).numpy()
    expected = TSNE(**options).fit_transform(stage)
    assert np.corrcoef(np.ravel(numbers(out)['points']['teacher']), expected.ravel())[0, 1] > 0.9
    with pytest.raises(UserError, match='--vis-stage: expected 1 to 4, got 5'):
        run('vis_tsne', trained.config, *flags, '--vis-stage', 5)
    with pytest.raises(UserError, match='--perplexity: expected less than the number of images, 40'):
        run('vis_tsne', trained.config, *flags, '--perplexity', 40)


@pytest.mark.parametrize('kind', ['half', 'cached'])
def test_a_cached_or_a_half_precision_teacher_is_looked_at_as_its_net(kind, trained, tmp_path):
    cfg = load_config(str(trained.config))
    net = cfg.model.teacher
    teacher = dict(net, **(dict(dtype='bfloat16') if kind == 'half' else dict(cache='x')))
    cfg.model.teacher = Config(dict(teacher=teacher)).teacher
    config, cam = tmp_path / 'config.py', tmp_path / 'cam.png'
    cfg.dump(str(config))
    run('vis_cam', 3, config, trained.checkpoint, '--teacher', '--save-path', cam)
    expected = trained.teacher.logits.softmax(1)[3].max().item()
    assert numbers(cam)['teacher']['score'] == pytest.approx(expected, abs=1e-4)
    out = tmp_path / 'agreement.png'
    run('agreement', config, trained.checkpoint, '--out', out)
    right = trained.teacher.logits.argmax(1) == trained.target
    assert numbers(out)['teacher']['accuracy'] == pytest.approx(100 * right.float().mean().item())


def test_a_teacher_resizes_as_in_its_run(trained):
    cfg = load_config(ROOT / CONFIG, {'model.teacher.resize': 'bilinear', 'model.teacher.dtype': 'bfloat16'})
    cfg.model.teacher.checkpoint = 'random'
    (teacher,) = open_run(cfg, 'random').teachers
    assert (teacher._resize, teacher._dtype) == ('bilinear', None)
    assert MODELS.build(random_config(cfg)).teachers[0]._resize == 'bilinear', 'of browse_dataset'


@pytest.mark.parametrize('batched', [False, True])
def test_an_image_file_is_seen_in_the_colours_of_data_in_memory(batched, trained, tmp_path, monkeypatch):
    picture = np.random.default_rng(0).integers(0, 80, (16, 16, 3), dtype=np.uint8)
    picture += np.array([0, 60, 170], dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / 'x.png')
    cfg = load_config(str(trained.config))
    if batched:
        cfg.data_preprocessor.update(type='BatchViewPreprocessor', to_rgb=False)
        dataset = dict(type='InMemory', dataset=dict(type='Digits', split='test'))
        cfg.test_dataloader.dataset = Config(dict(dataset=dataset)).dataset
    cfg.dump(str(tmp_path / 'config.py'))
    shown = []
    module = import_module('tools.visualization.vis_cam')
    monkeypatch.setattr(module, 'image_grid', lambda path, rows: shown.append(rows[0][0].image))
    flags = ['--save-path', tmp_path / 'cam.png']
    run('vis_cam', tmp_path / 'x.png', tmp_path / 'config.py', trained.checkpoint, *flags)
    np.testing.assert_allclose(shown[0], picture / 255, atol=1e-5)


def test_two_trained_students_are_named_and_not_called_before_and_after(trained, tmp_path, monkeypatch):
    titles = []
    module = import_module('tools.visualization.vis_cka')
    keep = lambda path, panels, *rest: titles.append([x.title.split(':')[0] for x in panels])  # noqa: E731
    monkeypatch.setattr(module, 'heat_maps', keep)
    other = tmp_path / 'epoch_9.pth'
    shutil.copy(trained.checkpoint, other)
    for first in ('random', other):
        flags = ['--max-images', 20, '--out', tmp_path / 'x.png']
        run('vis_cka', trained.config, first, trained.checkpoint, *flags)
    folders = [f'{x.parent.name}/{x.stem}' for x in (other, trained.checkpoint)]
    assert titles == [['before', 'after'], folders]


def test_a_folder_that_is_not_there_is_made(trained, tmp_path):
    path = tmp_path / 'new/one/matrix.png'
    run('confusion_matrix', trained.config, trained.checkpoint, '--show-path', path)
    assert path.exists()


def test_the_schedule_of_a_mixed_precision_run_is_drawn_without_a_gpu(tmp_path):
    out = tmp_path / 'new/lr.png'
    options = ['optim_wrapper.type=AmpOptimWrapper', 'optim_wrapper.loss_scale=dynamic']
    config = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
    run('vis_scheduler', config, '--save-path', out, '--not-show', '--cfg-options', *options)
    assert out.exists() and numbers(out)['lr'][0] > 0


def test_every_tool_has_a_picture_and_its_command_in_the_docs():
    """Each command is valid for its tool and writes the picture above it."""
    page = (ROOT / 'docs/en/analysis.md').read_text()
    shown = re.findall(r'!\[(\w+)\]\((_static/analysis/(\w+)\.png)\)\n\n```bash\n(.*?)```', page, re.DOTALL)
    files = [*ROOT.glob('tools/analysis_tools/*.py'), *ROOT.glob('tools/visualization/*.py')]
    assert sorted(name for name, *_ in shown) == sorted(path.stem for path in files)
    for name, file, picture, command in shown:
        assert (ROOT / 'docs/en' / file).stat().st_size < 60_000
        words = shlex.split(command.strip().replace('\\\n', ' ').splitlines()[-1])
        assert words[:2] == ['python', f'tools/{folder_of(name)}/{name}.py']
        import_module(f'tools.{folder_of(name)}.{name}').parse_args(words[2:])
        assert f'work_dirs/analysis/{picture}.png' in words or 'work_dirs/analysis' in words


def test_a_tool_starts_from_the_command_line(run_tool):
    assert 'usage' in run_tool('visualization/vis_cka.py', '--help').stdout


def test_a_picture_is_opened_when_asked(monkeypatch, trained, tmp_path):
    shown = []
    monkeypatch.setattr(Image.Image, 'show', lambda self: shown.append(self.filename))
    monkeypatch.setenv('DISPLAY', ':0')
    run(
        'vis_fusion',
        trained.config,
        trained.checkpoint,
        '--max-images',
        8,
        '--out',
        tmp_path / 'x.png',
        '--show',
    )
    assert shown == [str(tmp_path / 'x.png')]
