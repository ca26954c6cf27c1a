"""mmengine's ``CheckpointHook`` in a run of hetkd: atomic writes, late removal, movable work dirs."""

import os
import shutil

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.hooks import CheckpointHook, Hook

from hetkd.apis import export_student
from hetkd.engine import latest_checkpoint
from hetkd.errors import UserError
from hetkd.models.nets.checkpoint import read_weights


class Scores(Hook):
    """Make every validation the best so far."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner, metrics=None):
        metrics['accuracy/top1'] = float(runner.epoch)


class Break(Hook):
    """Stop between the second checkpoint and its validation, which a resumed run repeats."""

    priority = 'LOWEST'

    def before_val_epoch(self, runner):
        if runner.epoch == 2:
            raise KeyboardInterrupt


def files(folder):
    return {x.name for x in folder.glob('*.pth')}


@pytest.mark.parametrize('kept, expected', [(1, {4}), (2, {3, 4}), (-1, {1, 2, 3, 4})])
def test_so_many_are_kept_and_the_best(kept, expected, runner_of, tmp_path):
    runner = runner_of(
        train_cfg__max_epochs=4,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=kept,
    )
    runner.register_hook(Scores())
    runner.train()
    assert any(type(hook) is CheckpointHook for hook in runner.hooks)
    assert files(tmp_path) == {f'epoch_{i}.pth' for i in expected} | {'best_accuracy_top1_epoch_4.pth'}
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_4.pth'


@pytest.mark.parametrize('broken', ['epoch_3.pth', 'best_accuracy_top1_epoch_3.pth'])
def test_a_failed_write_leaves_the_one_before(broken, runner_of, tmp_path, monkeypatch):
    runner = runner_of(
        train_cfg__max_epochs=3,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=1,
    )
    runner.register_hook(Scores())
    replace = os.replace

    def fail(part, path):
        if str(path).endswith(broken):
            raise KeyboardInterrupt
        replace(part, path)

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert broken.replace('3', '2') in files(tmp_path) and broken not in files(tmp_path)
    assert not list(tmp_path.glob('.*'))


@pytest.mark.parametrize(
    'write', [lambda x, path: x.put(b'new', path), lambda x, path: x.put_text('new', path)]
)
def test_a_full_disk_is_named_with_what_to_do_and_leaves_the_old_file(write, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, 'No space left on device')

    path = tmp_path / 'folder/a.txt'
    backend = get_file_backend(path)
    write(backend, path)
    path.write_text('old')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(UserError, match=r'a.txt: expected to write.*No space.*free some space.*--resume'):
        write(backend, path)
    assert path.read_text() == 'old' and list(path.parent.iterdir()) == [path]


def test_a_checkpoint_alone_is_removed_late_and_never_the_one_just_written(tmp_path):
    names = [str(tmp_path / x) for x in ('a.pth', 'b.pth', 'c.json')]
    for name in names:
        get_file_backend(name).put(b'x', name)
    for name in names:
        get_file_backend(tmp_path).remove(name)
    assert files(tmp_path) == {'a.pth', 'b.pth'} and not (tmp_path / 'c.json').exists()
    get_file_backend(tmp_path).put(b'x', str(tmp_path / 'other/x.pth'))
    get_file_backend(tmp_path).put(b'x', names[2])
    assert files(tmp_path) == {'a.pth', 'b.pth'}, 'only a checkpoint of the same folder is their successor'
    get_file_backend(names[1]).put(b'y', names[1])
    assert files(tmp_path) == {'b.pth'}


@pytest.fixture
def stopped(runner_of, tmp_path):
    """A work dir of a run that was stopped after its second epoch of three, and how to resume in another."""

    def runner(name, **options):
        one = runner_of(
            work_dir=tmp_path / name,
            train_cfg__max_epochs=3,
            default_hooks__checkpoint__interval=1,
            default_hooks__checkpoint__max_keep_ckpts=1,
            **options,
        )
        one.register_hook(Scores())
        return one

    first = runner('a')
    first.register_hook(Break())
    with pytest.raises(KeyboardInterrupt):
        first.train()
    return runner


END = {'epoch_3.pth', 'best_accuracy_top1_epoch_3.pth'}


def test_a_work_dir_that_was_moved_goes_on(stopped, tmp_path):
    (tmp_path / 'a').rename(tmp_path / 'b')
    runner = stopped('b', resume=True)
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 6, 'four of them before'
    assert files(tmp_path / 'b') == END and not (tmp_path / 'a').exists()


def test_a_copy_goes_on_with_its_own_files_and_leaves_the_original_alone(stopped, tmp_path):
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    (tmp_path / 'a/epoch_2.pth').write_text('of another run')
    before = files(tmp_path / 'a')
    stopped('b', resume=True).train()
    assert files(tmp_path / 'b') == END and files(tmp_path / 'a') == before


def test_checkpoints_in_another_folder_are_found_again(stopped, tmp_path):
    elsewhere = dict(default_hooks__checkpoint__out_dir=str(tmp_path / 'disk'))
    first = stopped('c', **elsewhere)
    first.register_hook(Break())
    with pytest.raises(KeyboardInterrupt):
        first.train()
    assert latest_checkpoint(str(tmp_path / 'c')) == str(tmp_path / 'disk/c/epoch_2.pth')
    with pytest.raises(UserError, match='checkpoint.out_dir: expected a folder without a run, got .*disk/c'):
        stopped('other/c', **elsewhere).train()
    stopped('c', resume=True, **elsewhere).train()
    assert files(tmp_path / 'disk/c') == END
    shutil.rmtree(tmp_path / 'disk')
    with pytest.raises(
        UserError, match='--resume: expected .*disk/c/epoch_.*, the last checkpoint of .*no such'
    ):
        latest_checkpoint(str(tmp_path / 'c'))


class Falling(Hook):
    """An error that is least in the second epoch."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner, metrics=None):
        metrics['calibration/ece'] = {1: 3.0, 2: 1.0}.get(runner.epoch, 2.0)


def test_the_best_of_an_error_is_the_smallest(runner_of, tmp_path):
    options = {'save_best': ['accuracy/top1', 'calibration/ece'], 'rule': ['greater', 'less']}
    options = {f'default_hooks.checkpoint.{key}': x for key, x in options.items()}
    small = {'train_dataloader.dataset.per_class': 6, 'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 1}
    runner_of('kd', custom_hooks=[dict(type=Falling)], **options, **small).train()
    assert (tmp_path / 'best_calibration_ece_epoch_2.pth').exists()
    with pytest.raises(ValueError, match='rule must be specified'):
        runner_of('kd', **{'default_hooks.checkpoint.save_best': 'calibration/ece'}).train()


def test_a_checkpoint_that_is_cut_short_gives_way_to_the_one_before(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('hetkd.engine.lasting.print_log', lambda text, *_: said.append(text))
    for age, name in enumerate(['terminated.pth', 'epoch_2.pth', 'iter_1.pth']):
        torch.save({}, tmp_path / name)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / 'last_checkpoint').write_text('epoch_2.pth')
    for expected in ('epoch_2.pth', 'terminated.pth', 'iter_1.pth'):
        assert latest_checkpoint(str(tmp_path)) == str(tmp_path / expected)
        os.truncate(tmp_path / expected, 300)
    with pytest.raises(UserError, match='got damaged ones alone'):
        latest_checkpoint(str(tmp_path))
    assert f'expected {tmp_path}/epoch_2.pth to be a whole checkpoint, got a damaged one' in said[0]


@pytest.mark.parametrize(
    'view, steps, recorded',
    [
        (dict(type='BatchResizeCentreCrop', resize=16, crop=16, interpolation='bilinear'), None, 'bilinear'),
        (dict(type='BatchResizeCentreCrop', resize=16, crop=16), None, 'bicubic'),
        (None, None, None),
        (None, [dict(type='ResizeEdge', scale=16, interpolation='bicubic')], 'bicubic'),
        (None, [dict(type='Resize', scale=16)], 'bilinear'),
        (None, [dict(type='Resize', scale=16, interpolation='nearest')], None),
    ],
)
def test_the_filter_that_resizes_the_images_is_recorded(view, steps, recorded, runner_of, tmp_path):
    """In the checkpoint and in the student that is exported from it, for a run that it will teach."""
    options = {'train_cfg.max_epochs': 1, 'train_dataloader.dataset.per_class': 8}
    held = dict(_delete_=True, type='InMemory', dataset=dict(type='Digits', split='test', per_class=5))
    if steps is None:
        preprocessor = dict(type='BatchViewPreprocessor', to_rgb=False, test_view=view)
        options |= {'data_preprocessor': preprocessor, 'val_dataloader.dataset': held}
        train = dict(held, dataset=dict(type='Digits', per_class=8))
        options['train_dataloader.dataset'] = train
        options.pop('train_dataloader.dataset.per_class')
    else:
        options['val_dataloader.dataset.pipeline'] = [*steps, dict(type='PackInputs')]
    runner = runner_of('scratch', tmp_path, **options)
    runner.train()
    assert read_weights(str(tmp_path / 'epoch_1.pth')).resize == recorded
    export_student(runner.cfg, str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'student.pth'))
    assert read_weights(str(tmp_path / 'student.pth')).resize == recorded
