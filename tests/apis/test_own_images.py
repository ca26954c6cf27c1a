"""From a folder of images to an exported student, by the config of the page."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from hetkd.apis import load_config
from hetkd.errors import UserError
from hetkd.registry import DATASETS, MODELS, PARAM_SCHEDULERS

from .conftest import CONFIG, MODES, SMALL


def test_twelve_lines_lead_from_a_folder_to_onnx(folder, run_tool):
    """Teacher, student and export by the page's commands."""
    import onnxruntime

    assert len(CONFIG.splitlines()) <= 12
    options = [f'{key}={value}' for key, value in SMALL.items()]
    options += [
        'own_images.size=96',
        f'own_images.root={folder}/my_images',
        'optim_wrapper.optimizer.lr=0.003',
    ]
    teacher = f'{folder}/teacher/epoch_3.pth'
    config = folder / 'my_images.py'
    run_tool(
        'train.py', config, '--work-dir', folder / 'teacher',
        '--cfg-options', *options, 'own_images.trains=teacher',
    )  # fmt: skip
    options += [f'model.teacher.checkpoint={teacher}', 'default_hooks.teacher_check.allow_chance=True']
    done = run_tool('train.py', config, '--work-dir', folder / 'student', '--cfg-options', *options)
    said = done.stdout + done.stderr
    assert re.search(r'MLDRKD: ResNet .*learns from VisionTransformer', said)
    assert 'data: 36 images of CustomDataset to train on, 12 images' in said and '2 classes' in said
    assert 'param_scheduler: expected' not in said
    out = folder / 'student.onnx'
    run_tool(
        'deployment/export.py', config, folder / 'student/epoch_3.pth', '--out', out, '--repeats', '1',
        '--cfg-options', *options,
    )  # fmt: skip
    record = json.loads((folder / 'student.onnx.json').read_text())
    assert record['classes'] == ['dark', 'light'] and record['input'] == [3, 96, 96]
    (logits,) = onnxruntime.InferenceSession(str(out)).run(
        None, {'images': np.zeros((1, 3, 96, 96), np.uint8)}
    )
    assert logits.shape == (1, 2)


@pytest.mark.parametrize('size', [96, 224, 384])
def test_nets_and_views_have_the_size(folder, size):
    options = {'own_images.size': size, 'model.teacher.checkpoint': 'random'}
    cfg = load_config('my_images.py', options)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    batch = dict(inputs=[], data_samples=[])
    for i in range(len(dataset)):
        item = dataset[i]
        batch['inputs'].append(item['inputs'])
        batch['data_samples'].append(item['data_samples'])
    assert len(dataset) == 2 * len(MODES)
    means = torch.stack([x.float().mean() for x in batch['inputs']])
    assert (means[:6] < 60).all() and (means[6:] > 190).all(), 'each mode has its levels'
    data = model.data_preprocessor(batch, training=True)
    assert data['inputs'].shape[2:] == (size, size)
    losses = model.loss(data['inputs'], data['data_samples'])
    assert all(torch.isfinite(x).all() for key, x in losses.items() if 'loss' in key)


def warm_up_of(config, steps):
    """The steps of a warm-up in a run whose epochs have so many."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    kind = PARAM_SCHEDULERS.get(config['type'])
    config = {key: x for key, x in config.items() if key not in ('type', 'convert_to_iter_based')}
    return kind.build_iter_from_epoch(optimizer, **config, epoch_length=steps).end


def test_one_number_changes_the_length_and_values_of_ones_own_stay(folder, monkeypatch):
    options = {'train_cfg.max_epochs': 7, 'train_dataloader.batch_size': 5, 'own_images.flip': False}
    cfg = load_config('my_images.py', options)
    warm_up, cosine = cfg.param_scheduler
    assert cosine.end == 7
    assert [warm_up_of(warm_up, x) for x in (8, 80)] == [2, 28], 'a share of the run, whatever its steps'
    short = load_config('my_images.py', {'train_cfg.max_epochs': 1, 'train_dataloader.batch_size': 5})
    # Few steps: a small folder in several processes, or a part of it.
    assert [warm_up_of(short.param_scheduler[0], x) for x in (1, 3, 7, 49)] == 4 * [2]
    assert cfg.model.teacher.checkpoint == 'work_dirs/teachers/test_vit_my_images_96px/epoch_7.pth'
    assert cfg.train_dataloader.drop_last, '36 images leave one alone'
    assert not load_config('my_images.py').train_dataloader.drop_last
    options = {**SMALL, 'train_dataloader.batch_size': 17}
    assert not load_config('my_images.py', options).train_dataloader.drop_last
    for name in ('WORLD_SIZE', 'SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE'):
        with monkeypatch.context() as patch:
            patch.setenv(name, '2')
            own = load_config('my_images.py', options)
            assert own.train_dataloader.drop_last, 'each process has 18 of them'
    assert cfg.data_preprocessor.num_classes == 2 and 'RandomFlip' not in str(cfg.train_dataloader)
    own = load_config('my_images.py', {'param_scheduler': [], 'optim_wrapper.optimizer.lr': 0.5})
    assert own.param_scheduler == [] and own.optim_wrapper.optimizer.lr == 0.5
    teacher = load_config('my_images.py', {'own_images.trains': 'teacher'})
    assert (teacher.model.type, teacher.model.student.model) == ('NetClassifier', 'test_vit')
    assert teacher.work_dir == 'work_dirs/teachers/test_vit_my_images_96px'
    assert load_config('my_images.py', method='hcd').model.type == 'HCD'
    assert 'teacher' not in load_config('my_images.py', method='scratch').model


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda x: (x / 'val/dark').rename(x / 'val/drak'), r"class folders of train, got \['drak'\] in val"),
        (lambda x: x.rename(x.parent / 'gone'), 'a folder with train/CLASS and val/CLASS, got no folder'),
        (lambda x: [y.unlink() for y in x.glob('val/*/*')], 'val: expected images .jpg.*got none'),
        (lambda x: [(x / y / 'dark').rename(x / f'{y}_dark') for y in ('train', 'val')], 'at least two'),
    ],
)
def test_a_folder_that_does_not_fit_is_named(folder, change, message):
    change(folder / 'my_images')
    with pytest.raises(UserError, match=message):
        load_config('my_images.py')


@pytest.mark.parametrize(
    'options, message',
    [
        ({'own_images.size': 0}, r'own_images.size: expected a number >= 1, got 0'),
        ({'own_images.sizes': 96}, r'own_images.sizes: expected a key, got an unknown one; nearest: size'),
        ({'own_images.min_area': 25}, r'own_images.min_area: expected a number <= 1, got 25'),
        ({'own_images.trains': 'both'}, r"own_images.trains: expected .*'student' or 'teacher', got 'both'"),
        ({'train_cfg.max_epochs': 'many'}, r'train_cfg.max_epochs: expected a whole number'),
    ],
)
def test_a_wrong_value_is_named(folder, options, message):
    with pytest.raises(UserError, match=message):
        load_config('my_images.py', options)


def test_the_student_reads_the_teachers_last_epoch_whatever_its_own_length(folder, monkeypatch):
    monkeypatch.chdir(folder)
    where = folder / 'work_dirs/teachers/test_vit_my_images_96px'
    where.mkdir(parents=True)
    options = {'own_images.size': 96, 'train_cfg.max_epochs': 7}

    def file():
        return load_config(folder / 'my_images.py', options).model.teacher.checkpoint

    assert file().endswith('/epoch_7.pth'), 'none yet: of as many epochs'
    for epoch in (9, 10):
        (where / f'epoch_{epoch}.pth').touch()
    assert file() == 'work_dirs/teachers/test_vit_my_images_96px/epoch_10.pth'


def test_the_rate_is_that_of_the_weights_which_the_net_begins_from(folder):
    net = dict(type='TimmNet', model='test_vit')
    text = (folder / 'my_images.py').read_text()
    for more, rate in ({}, 1e-3), (dict(pretrained=True), 1e-4):
        (folder / 'own_net.py').write_text(text + f"\nown_images['student'] = {dict(net, **more)}\n")
        cfg = load_config(
            folder / 'own_net.py', {'own_images.size': 96, 'model.teacher.checkpoint': 'random'}
        )
        assert cfg.optim_wrapper.optimizer.lr == rate
    random = {'own_images.pretrained': True, 'model.student.pretrained': False}
    assert load_config(folder / 'my_images.py', random).optim_wrapper.optimizer.lr == 1e-3


def test_folders_of_one_name_have_teachers_of_their_own(folder):
    for fold in ('fold1', 'fold2'):
        shutil.copytree('my_images', f'{fold}/images')
    files = {
        load_config('my_images.py', {'own_images.root': root}).model.teacher.checkpoint
        for root in ('fold1/images', 'fold2/images', './fold2/images/', 'my_images')
    }
    assert len(files) == 3


def test_a_teacher_that_was_stopped_is_refused_until_it_is_named(folder):
    where = folder / 'work_dirs/teachers/test_vit_my_images_96px'
    where.mkdir(parents=True)
    (where / 'epoch_3.pth').touch()
    for finished in (True, False):
        (where / 'results.json').write_text(json.dumps(dict(metrics={}, finished=finished)))
        if finished:
            assert load_config('my_images.py').model.teacher.checkpoint.endswith('epoch_3.pth')
    with pytest.raises(UserError, match='epoch_3.pth: expected a teacher whose training has ended, got one'):
        load_config('my_images.py')
    file = './work_dirs/teachers/test_vit_my_images_96px/epoch_3.pth'
    assert load_config('my_images.py', {'model.teacher.checkpoint': file}).model.teacher.checkpoint == file
    assert load_config('my_images.py', {'own_images.trains': 'teacher'}).model.type == 'NetClassifier'
