"""Classes of data sets and nets are compared by name; an image has one label."""

import json
import re

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from hetkd.apis.analysis import Images, open_student
from hetkd.datasets import Digits, check_labels, check_names, class_names
from hetkd.engine import latest_checkpoint
from hetkd.errors import UserError
from hetkd.models.distillers.labels import batch_labels
from hetkd.models.nets.checkpoint import read_weights
from hetkd.registry import DATASETS, MODELS, RUNNERS, TRANSFORMS
from hetkd.teacher_cache import write_cache
from hetkd.testing import micro_net
from tests.conftest import tool_main

from .conftest import CLASSES, folder

WITHOUT_G = [x for x in CLASSES if x != 'g']
OTHER_FOLDERS = {
    'one is missing': (WITHOUT_G, "no 'g'"),
    'one more': ([*CLASSES, '.cache'], "also '.cache'"),
    'another name': ([*WITHOUT_G, 'x'], "no 'g', also 'x'"),
    'upper case': ([*WITHOUT_G, 'G'], "no 'g', also 'G'"),
    'white space': ([*WITHOUT_G, 'g '], "class 6 is 'g ', not 'g' (case or white space)"),
}


def refused(*parts):
    return pytest.raises(UserError, match='.*'.join(map(re.escape, parts)))


def steps(cfg):
    """Train, and count the steps; all are taken, or none."""
    runner = RUNNERS.build(cfg)
    try:
        runner.train()
    finally:
        taken = runner.iter
        assert taken in (0, 4)
    return taken


def wrapped(kind, config):
    if kind == 'InMemory':
        return dict(type='InMemory', dataset={k: v for k, v in config.items() if k != 'pipeline'})
    if kind == 'RepeatDataset':
        return dict(type=kind, dataset=config, times=1)
    if kind == 'ClassBalancedDataset':
        return dict(type=kind, dataset=config, oversample_thr=1e-3)
    return dict(type=kind, datasets=[config]) if kind == 'ConcatDataset' else config


def test_equal_folders_train(folders, config_of):
    for split in ('train', 'val', 'test'):
        root = folders(split)
    assert steps(config_of(*(folder(root, x) for x in ('train', 'val', 'test')))) == 4


@pytest.mark.parametrize('split', ['val', 'test'])
@pytest.mark.parametrize('kind', OTHER_FOLDERS)
def test_other_folders_are_named_before_the_first_step(kind, split, folders, config_of):
    classes, difference = OTHER_FOLDERS[kind]
    for name in ('train', 'val', 'test'):
        root = folders(name, classes if name == split else CLASSES)
    cfg = config_of(*(folder(root, x) for x in ('train', 'val', 'test')))
    with refused(f'{split}_dataloader: expected the classes of train_dataloader', difference):
        steps(cfg)


def test_an_empty_folder_keeps_the_labels(folders, config_of):
    root = folders('train')
    folders('val', WITHOUT_G)
    (root / 'val/g').mkdir()
    assert steps(config_of(folder(root, 'train'), folder(root, 'val'))) == 4


@pytest.mark.parametrize('kind', ['InMemory', 'RepeatDataset', 'ConcatDataset', 'ClassBalancedDataset'])
def test_wrappers_are_looked_through(kind, folders, config_of):
    root = folders('train')
    folders('val', WITHOUT_G)
    cfg = config_of(wrapped(kind, folder(root, 'train')), wrapped(kind, folder(root, 'val')))
    with refused('val_dataloader', "no 'g'"):
        steps(cfg)


def test_the_parts_of_a_concat_dataset_are_compared(folders, config_of):
    root = folders('train')
    folders('more', WITHOUT_G)
    parts = dict(
        type='ConcatDataset',
        datasets=[folder(root, 'train'), folder(root, 'more')],
    )
    with refused('ConcatDataset: expected the classes of its first part', "no 'g'"):
        RUNNERS.build(config_of(parts, folder(root, 'train'))).train()


def test_validation_is_compared_with_the_nets_where_the_training_set_has_no_names(folders, config_of):
    root = folders('train')
    folders('val', WITHOUT_G)
    lines = [f'{name}/{i}.png {label}' for label, name in enumerate(CLASSES) for i in range(4)]
    (root / 'list.txt').write_text('\n'.join(lines))
    train = dict(folder(root, 'train'), ann_file=str(root / 'list.txt'))
    with refused('data: expected 8 classes as the nets have, got 7 in val_dataloader'):
        steps(config_of(train, folder(root, 'val')))


@pytest.mark.parametrize('names', [True, False], ids=['class names', 'none'])
@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('label', [-1, 8])
def test_a_label_that_is_no_class_is_refused(label, split, names, folders, config_of):
    root = folders('train')
    lines = [f'{name}/{i}.png {y}' for y, name in enumerate(CLASSES) for i in range(4)]
    (root / 'list.txt').write_text('\n'.join(lines))
    (root / 'wrong.txt').write_text('\n'.join([*lines[:5], f'b/1.png {label}', *lines[6:]]))
    files = dict(train='list.txt', val='list.txt') | {split: 'wrong.txt'}
    more = dict(metainfo=dict(classes=list(CLASSES))) if names else {}
    sets = [dict(folder(root, 'train'), ann_file=str(root / files[x]), **more) for x in ('train', 'val')]
    words = f'expected a class (gt_label) from 0 to 7, got {label} for image 5'
    with refused(f'{split}_dataloader (CustomDataset): {words}'):
        steps(config_of(*sets))


def test_a_test_set_that_is_not_there_does_not_stop_training(folders, config_of):
    root = folders('train')
    folders('val')
    assert steps(config_of(folder(root, 'train'), folder(root, 'val'), folder(root, 'none'))) == 4


def test_fetch_data_names_the_missing_folder(folders, config_of, tmp_path):
    root = folders('train')
    folders('val', WITHOUT_G)
    config_of(folder(root, 'train'), folder(root, 'val')).dump(tmp_path / 'config.py')
    main = tool_main('misc/fetch_data.py')
    with pytest.raises(SystemExit, match="val_dataloader: expected the classes of .*: no 'g'"):
        main([str(tmp_path / 'config.py')])
    (root / 'val/g').mkdir()
    main([str(tmp_path / 'config.py')])


@pytest.mark.parametrize(
    'expected, got, difference',
    [
        ('ab', 'ab', None),
        ('ab', 'ba', "class 0 is 'b', not 'a'"),
        ('abc', 'acb', "class 1 is 'c', not 'b'"),
        ('ab', 'AB', "class 0 is 'A', not 'a' (case or white space)"),
        ([0, 1], '01', None),
        ('ab', 'aba', '3 classes, not 2'),
        ('abcdefg', '', "no 'a', 'b', 'c', 'd', 'e' and 2 more"),
        (None, 'ab', None),
        ('ab', None, None),
    ],
)
def test_the_difference_is_named(expected, got, difference):
    if difference is None:
        check_names(expected, got, 'x', 'y')
    else:
        with refused(f'x: expected the classes of y, in the same order, got others: {difference}. '):
            check_names(expected, got, 'x', 'y')


# Labels


def digits_with(monkeypatch, label_of):
    """The digits with other labels: ``label_of(info)`` is put in place of ``gt_label``."""
    load = Digits.load_data_list
    relabel = lambda x: dict(img=x['img'], **label_of(x['gt_label']))  # noqa: E731
    monkeypatch.setattr(Digits, 'load_data_list', lambda self: [relabel(x) for x in load(self)])


def several(label):
    score = np.zeros(10, int)
    score[[label, 9 - label]] = 1
    return score


MULTI = {
    'gt_score with two ones': (lambda y: dict(gt_score=several(y)), 'gt_score=['),
    'gt_score beside gt_label': (lambda y: dict(gt_label=y, gt_score=several(y)), 'gt_score=['),
    'a tensor': (lambda y: dict(gt_label=y, gt_score=torch.tensor(several(y))), 'gt_score=['),
    'negative': (lambda y: dict(gt_label=y, gt_score=[2.0, -1.0, *[0.0] * 8]), 'gt_score=[2.0, -1.0'),
    'NaN': (lambda y: dict(gt_label=y, gt_score=[float('nan')] * 10), 'gt_score=[nan'),
    'list of two': (lambda y: dict(gt_label=[y, 9 - y]), 'gt_label=['),
    'no class': (lambda y: dict(gt_label=[]), 'gt_label=[]'),
    'one of many': (lambda y: dict(gt_label=[1, 2] if y == 7 else y), 'gt_label=[1, 2]'),
}


def digits_run(config_of, **options):
    cfg = config_of(
        dict(type='Digits', pipeline=[dict(type='Resize', scale=16), dict(type='PackInputs')]), {}
    )
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.data_preprocessor.num_classes = 10
    cfg.train_dataloader.dataset.update(split='train', **options)
    return cfg


@pytest.mark.parametrize('kind', MULTI)
def test_several_labels_are_refused_before_the_first_step(kind, monkeypatch, config_of):
    label_of, found = MULTI[kind]
    digits_with(monkeypatch, label_of)
    runner = RUNNERS.build(digits_run(config_of))
    with refused('train_dataloader (Digits): expected one class for each image', found, 'multi-label data'):
        runner.train()
    assert runner.iter == 0
    if 'score' not in kind:
        with refused('InMemory (Digits): expected one class', found):
            DATASETS.build(dict(type='InMemory', dataset=dict(type='Digits')))


@pytest.mark.parametrize('smoothing', [0, 0.3])
def test_probabilities_train(smoothing, monkeypatch, config_of):
    """A distribution that is the smoothed label gives the loss of the smoothed label."""
    losses = []
    for label_of in (
        lambda y: dict(gt_label=y),
        lambda y: dict(gt_score=np.eye(10, dtype=np.float32)[y] * (1 - smoothing) + smoothing / 10),
    ):
        with monkeypatch.context() as patch:
            digits_with(patch, label_of)
            cfg = digits_run(config_of, indices=32)
            cfg.model.label_loss = dict(type='LabelLoss', label_smoothing=smoothing if not losses else 0)
            runner = RUNNERS.build(cfg)
            runner.train()
            losses.append(runner.message_hub.get_scalar('train/loss').data[0])
    assert len(losses[0]) == 4 and np.allclose(*losses, rtol=1e-4)


def test_mmpretrains_multi_label_data_are_refused_by_name(folders, config_of, tmp_path):
    root = folders('train')
    infos = [dict(img_path=f'a/{i % 4}.png', gt_label=[0, 1] if i else [2]) for i in range(8)]
    content = dict(metainfo=dict(classes=CLASSES), data_list=infos)
    (tmp_path / 'labels.json').write_text(json.dumps(content))
    pipeline = folder(root, 'train')['pipeline']
    train = dict(
        type='MultiLabelDataset', ann_file=str(tmp_path / 'labels.json'), data_root=str(root),
        data_prefix='train', pipeline=pipeline,
    )  # fmt: skip
    for data, name in (((train, folder(root, 'train')), 'train'), ((folder(root, 'train'), train), 'val')):
        with refused(
            f'{name}_dataloader (MultiLabelDataset): expected one class', 'gt_label=[0, 1] for image 1'
        ):
            steps(config_of(*data))
    with refused('x (RepeatDataset)', 'image 1'):
        check_labels(DATASETS.build(wrapped('RepeatDataset', train)), 'x')
    with refused('x (MultiLabelDataset)', 'image 1'):
        check_labels(Subset(DATASETS.build(train), [0]), 'x')
    with refused('InMemory (MultiLabelDataset): expected one class'):
        DATASETS.build(wrapped('InMemory', train))
    (tmp_path / 'config.py').write_text(f'train_dataloader = dict(dataset={train!r})')
    with pytest.raises(SystemExit, match='train_dataloader .MultiLabelDataset.: expected one class'):
        tool_main('misc/fetch_data.py')([str(tmp_path / 'config.py')])


# No label


def test_images_whose_label_is_missing_are_refused_before_the_first_step(monkeypatch, config_of):
    digits_with(monkeypatch, lambda y: dict(gt_label=y) if y != 7 else {})
    runner = RUNNERS.build(digits_run(config_of))
    with refused(
        'train_dataloader (Digits): expected one class (gt_label) for each image, got none for image'
    ):
        runner.train()
    assert runner.iter == 0
    with refused('InMemory (Digits): expected one class (gt_label) for each image, got none for image'):
        DATASETS.build(dict(type='InMemory', dataset=dict(type='Digits')))


@pytest.mark.parametrize('kind', ['plain', 'InMemory', 'RepeatDataset'])
def test_a_data_set_asks_for_unlabelled_images(kind, folders):
    config = dict(folder(folders('train'), 'train'), with_label=False)
    dataset = DATASETS.build(wrapped(kind, config))
    assert check_labels(dataset, 'x', unlabelled=True) == 32
    with refused(f'x ({type(dataset).__name__}): expected one class (gt_label) for each image, got none'):
        check_labels(dataset, 'x')


def test_in_a_concat_dataset_only_the_part_that_asks_may_lack_labels(folders, monkeypatch):
    root = folders('train')
    parts = [folder(root, 'train'), dict(folder(root, 'train'), with_label=False)]
    build = lambda: DATASETS.build(dict(type='ConcatDataset', datasets=parts))  # noqa: E731
    dataset = build()
    assert check_labels(dataset, 'x', unlabelled=True) == 32 and class_names(dataset) == list(CLASSES)
    load = type(dataset.datasets[0]).load_data_list
    monkeypatch.setattr(
        type(dataset.datasets[0]), 'load_data_list',
        lambda self: [{k: v for k, v in x.items() if k != 'gt_label'} for x in load(self)],
    )  # fmt: skip
    with refused('x (CustomDataset): expected one class (gt_label) for each image, got none for image 0'):
        check_labels(build(), 'x', unlabelled=True)


def unlabelled(root, split):
    return dict(folder(root, split), with_label=False)


@pytest.mark.parametrize(
    'order, sampler', [(1, None), (-1, dict(type='SemiSupervisedSampler', labelled_share=0.75))]
)
def test_an_unlabelled_folder_beside_a_labelled_one_trains(
    order, sampler, folders, config_of, tmp_path, monkeypatch
):
    root = folders('train')
    folders('val')
    folders('more')
    parts = [folder(root, 'train'), unlabelled(root, 'more')]
    both = dict(type='ConcatDataset', datasets=parts[::order])
    net = weights_of(tmp_path / 'a.pth', CLASSES)
    cfg = distilled(config_of(both, folder(root, 'val'), method='kd'), net)
    cfg.train_dataloader.batch_size, cfg.data_preprocessor.to_rgb = 16, True
    cfg.dump(tmp_path / 'config.py')
    tool_main('misc/fetch_data.py')([str(tmp_path / 'config.py')])
    cfg.train_dataloader.sampler = sampler or cfg.train_dataloader.sampler
    seen, take = [], batch_labels
    monkeypatch.setattr(
        'hetkd.models.distillers.classifier.batch_labels', lambda *x: seen.append(take(*x)) or seen[-1]
    )
    assert steps(cfg) == 4
    counts = [int((target >= 0).sum()) for target, _ in seen]
    assert counts == [12] * 4 if sampler else sum(counts) == 32
    (log,) = (tmp_path / 'run0').glob('*/*.log')
    assert 'train_dataloader: 32 of 64 images have no label' in log.read_text()
    assert read_weights(latest_checkpoint(cfg.work_dir)).classes == list(CLASSES)


def test_test_images_without_a_label_are_no_obstacle_to_training_and_refused_by_the_tools(folders, config_of):
    root = folders('train')
    folders('val')
    cfg = config_of(folder(root, 'train'), folder(root, 'val'), unlabelled(root, 'val'))
    assert steps(cfg) == 4
    with refused('test_dataloader (CustomDataset): expected one class (gt_label) for each image, got none'):
        Images(cfg)


def test_validation_and_a_run_on_labels_alone_need_labels(folders, config_of):
    root = folders('train')
    folders('val')
    labelled, none = folder(root, 'train'), unlabelled(root, 'train')
    with refused('val_dataloader (CustomDataset): expected one class (gt_label) for each image, got none'):
        steps(config_of(labelled, unlabelled(root, 'val')))
    with refused('NetClassifier: expected training images with labels'):
        steps(config_of(none, folder(root, 'val')))
    cfg = config_of(none, folder(root, 'val'), method='rkd')
    cfg.model.teacher.update(checkpoint='random', num_classes=0)
    assert steps(cfg) == 4


def test_mmpretrains_own_preprocessor_looks_at_the_first_image_alone(folders, config_of, tmp_path):
    root = folders('train')
    folders('val')
    cfg = config_of(unlabelled(root, 'train'), folder(root, 'val'), method='kd')
    cfg.model.teacher.checkpoint = 'random'
    cfg.data_preprocessor.type = 'ClsDataPreprocessor'
    with refused('data_preprocessor: expected SeededPreprocessor or BatchViewPreprocessor'):
        steps(cfg)


def test_a_pipeline_that_loses_the_labels_is_refused_at_the_first_step(folders, config_of):
    root = folders('train')
    folders('val')
    train = folder(root, 'train')
    train['pipeline'].insert(-1, dict(type='Lose'))
    TRANSFORMS.register_module('Lose', module=Lose, force=True)
    with refused('train_dataloader: expected a label for each image, got 8 of a batch of 8 without'):
        steps(config_of(train, folder(root, 'val')))


class Lose:
    def __call__(self, results):
        return {key: x for key, x in results.items() if key != 'gt_label'}


# Nets


def weights_of(path, names, seed=0):
    """Write the weights of a micro net that records these classes."""
    torch.manual_seed(seed)
    state = MODELS.build(dict(micro_net('vit', 8), input_size=16)).model.state_dict()
    meta = {} if names is None else dict(dataset_meta=dict(classes=list(names)))
    torch.save(dict(state_dict=state, meta=meta), path)
    return dict(micro_net('vit', 8, checkpoint=str(path)), input_size=16)


def distilled(cfg, teachers):
    cfg.model.teacher = teachers
    return cfg


@pytest.fixture
def data(folders):
    root = folders('train')
    folders('val')
    return folder(root, 'train'), folder(root, 'val')


@pytest.mark.parametrize(
    'number, names, difference',
    [
        (1, CLASSES, None),
        (2, None, None),
        (1, 'bacdefgh', "class 0 is 'b', not 'a'"),
        (2, 'abcdefgH', "class 7 is 'H', not 'h' (case or white space)"),
        (2, 'abcdefgx', "no 'h', also 'x'"),
    ],
)
def test_a_teacher_of_other_classes_is_refused(number, names, difference, data, config_of, tmp_path):
    nets = [weights_of(tmp_path / 'a.pth', CLASSES), weights_of(tmp_path / 'b.pth', names)][-number:]
    cfg = distilled(config_of(*data, method='kd'), nets if number > 1 else nets[0])
    if difference is None:
        assert steps(cfg) == 4
        return
    where = 'teacher' if number == 1 else 'teacher 2 of 2'
    with refused(f'{where}: expected the classes of train_dataloader', difference):
        steps(cfg)


def test_a_cached_teacher_of_other_classes_is_refused(data, config_of, tmp_path):
    right, wrong = weights_of(tmp_path / 'a.pth', CLASSES), weights_of(tmp_path / 'b.pth', 'bacdefgh')
    with refused('train_dataloader: expected the classes of the teacher', "class 0 is 'a', not 'b'"):
        write_cache(distilled(config_of(*data, method='kd'), wrong), str(tmp_path / 'wrong'), views=1)
    write_cache(distilled(config_of(*data, method='kd'), right), str(tmp_path / 'cache'), views=1)
    cached = dict(right, cache=str(tmp_path / 'cache'))
    assert steps(distilled(config_of(*data, method='kd'), cached)) == 4
    header = json.loads((tmp_path / 'cache/header.json').read_text())
    header['teacher']['classes'] = list('bacdefgh')
    (tmp_path / 'cache/header.json').write_text(json.dumps(header))
    with refused('teacher: expected the classes of train_dataloader', "class 0 is 'b', not 'a'"):
        steps(distilled(config_of(*data, method='kd'), cached))


@pytest.mark.parametrize(
    'kind, message',
    [
        ('same', None),
        ('one is missing', "test_dataloader: expected the classes of .*student.pth, .*: no 'g'"),
        ('order', "test_dataloader: expected the classes of .*student.pth, .*: class 0 is 'b', not 'a'"),
        ('no names', None),
        ('no names, one is missing', 'test_dataloader: expected 8 classes as .*student.pth has, got 7'),
    ],
)
def test_a_test_set_is_compared_with_the_checkpoint(kind, message, data, folders, config_of, tmp_path):
    test = folder(folders('test', WITHOUT_G if 'missing' in kind else CLASSES), 'test')
    if kind == 'order':
        test['metainfo'] = dict(classes=list('bacdefgh'))
    cfg = config_of(*data, test)
    cfg.test_evaluator = [dict(type='Accuracy', topk=(1,))]
    cfg.dump(tmp_path / 'config.py')
    student = MODELS.build(dict(cfg.model.student, num_classes=8, checkpoint='random'))
    meta = {} if 'no names' in kind else dict(dataset_meta=dict(classes=list(CLASSES)))
    path = tmp_path / 'student.pth'
    torch.save(dict(state_dict=student.model.state_dict(), meta=meta), path)
    main = tool_main('test.py')
    command = [str(tmp_path / 'config.py'), str(path), '--work-dir', str(tmp_path / 'out')]
    analyse = lambda: list(Images(cfg).batches(open_student(cfg, str(path), 'cpu')))  # noqa: E731
    if message is None:
        main(command)
        assert len(analyse()) == 1
        return
    for run in (lambda: main(command), analyse):
        with pytest.raises(UserError, match=message if run is not analyse else 'test_dataloader: expected'):
            run()
