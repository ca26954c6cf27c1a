"""Teacher caches: the online teacher's losses without a teacher."""

import errno
import json
import math
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.utils.data import BatchSampler

from hetkd.apis import load_config
from hetkd.apis.launch import LOADERS, complete_loaders
from hetkd.errors import UserError
from hetkd.registry import DATA_SAMPLERS, RUNNERS
from hetkd.teacher_cache import CachedTeacher, TeacherCache, write_cache
from tests.conftest import ROOT, free_port, tool_command

MIX = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)])


@pytest.fixture
def config(tiny_teacher, tmp_path):
    """``config(method, cached=folder, **options)`` as a tool would have it."""

    def make(method='mldrkd', cached=None, work_dir=None, **options):
        path = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
        options = {key.replace('__', '.'): value for key, value in options.items()}
        base = {
            'model.teacher.checkpoint': str(tiny_teacher),
            'train_cfg.max_epochs': 3,
            'train_cfg.val_interval': 3,
            'default_hooks.logger.interval': 1,
            'train_dataloader.dataset.per_class': 11,
            'data_preprocessor.num_classes': 10,
        }
        cfg = load_config(path, {**base, **options}, method)
        if cached is not None:
            cfg.model.teacher.cache = str(cached)
        cfg.experiment_name = f'{method}{cached is None}{time.time_ns()}'
        cfg.work_dir = str(work_dir or tempfile.mkdtemp(dir=tmp_path))  # a run each
        complete_loaders(cfg, LOADERS)
        return cfg

    return make


def losses_of(cfg):
    """Logged losses of a run, step by step, and its metrics."""
    runner = RUNNERS.build(cfg)
    runner.train()
    names = [x for x in runner.message_hub.log_scalars if x.startswith('train/loss')]
    return {name: runner.message_hub.get_scalar(name).data[0] for name in names}, runner


METHODS = ['kd', 'dkd', 'dist', 'rld', 'ofa', 'mldrkd', 'hcd', 'rkd', 'cc', 'rsd', 'crd', 'rsd-logits']


# Where a teacher's logits have their scale, its largest ten of ten classes say the same.
SCALED = ('mldrkd', 'hcd', 'rsd-logits')


@pytest.mark.parametrize(
    'method, mixed, top_k',
    [
        *((x, False, 0) for x in METHODS), ('kd', True, 0), ('hcd', True, 0), ('crd', True, 0),
        *((x, False, 10) for x in SCALED),
    ],
)  # fmt: skip
def test_the_losses_are_those_of_the_online_teacher(method, mixed, top_k, config, tmp_path):
    options = dict(data_preprocessor__batch_augments=MIX) if mixed else {}
    if method == 'crd':
        options['model__losses__0__num_negatives'] = 8
    cache = write_cache(config(method, **options), str(tmp_path / 'cache'), views=3, top_k=top_k)
    assert cache.header['embedding'] == (method in ('hcd', 'rkd', 'cc', 'rsd', 'crd'))
    online, _ = losses_of(config(method, **options))
    cached, runner = losses_of(config(method, cached=tmp_path / 'cache', **options))
    assert online.keys() == cached.keys() and len(online['train/loss']) == 3 * 4
    for name, values in online.items():
        np.testing.assert_allclose(cached[name], values, rtol=5e-3, atol=5e-3, err_msg=name)
    assert not any(isinstance(x, torch.nn.Module) for x in runner.model.teachers), 'no net in memory'
    metrics = json.loads(Path(runner.work_dir, 'results.json').read_text())
    assert 30 < metrics['metrics']['3']['teacher/top1'] < 60, 'from the cached validation images'
    assert metrics['teachers'][0]['views'] == 3 and metrics['teachers'][0]['net'] == 'VisionTransformer'


def test_a_method_on_logits_reads_no_embeddings(config, tmp_path):
    listed = config('rkd')
    listed.model.teacher = [listed.model.teacher]
    cache = write_cache(listed, str(tmp_path / 'cache'), views=1)
    assert cache.header['embedding']
    (tmp_path / 'cache/view000.embedding.npy').write_bytes(b'damaged')
    logits, embedding = TeacherCache(tmp_path / 'cache').read('view000', [0, 1], embedding=False)
    assert logits.shape == (2, 10) and embedding is None
    losses_of(config('kd', cached=tmp_path / 'cache'))
    with pytest.raises(UserError, match='view000.embedding.npy'):
        losses_of(config('rkd', cached=tmp_path / 'cache'))


class Watch:
    """The images that a run trains on."""

    def __init__(self, runner):
        self.runner, self.forward, self.images = runner, runner.model.loss, []
        runner.model.loss = self

    def __call__(self, inputs, samples):
        self.images += [(self.runner.epoch, x.sample_idx, y) for x, y in zip(samples, inputs)]
        return self.forward(inputs, samples)


def test_a_warm_up_goes_by_the_runs_epochs_and_not_by_the_views(config, tmp_path):
    options = dict(model__losses__0__warmup=3)
    write_cache(config('rld', **options), str(tmp_path / 'cache'), views=2)
    online, _ = losses_of(config('rld', **options))
    cached, _ = losses_of(config('rld', cached=tmp_path / 'cache', **options))
    steps = len(online['train/loss_rld']) // 3
    rises = np.mean(cached['train/loss_rld'][-steps:]) / np.mean(online['train/loss_rld'][-steps:])
    assert rises == pytest.approx(1, abs=0.2), 'the third epoch counts in full; another view, the same weight'


def test_the_views_repeat_and_another_seed_of_the_run_sees_the_same_ones(config, tmp_path):
    cache = write_cache(config('kd'), str(tmp_path / 'cache'), views=2, seed=5)
    rows = [cache.read(f'view{i:03d}', range(110))[0] for i in (0, 1)]
    assert not torch.equal(*rows) and rows[0].isfinite().all() and rows[0].shape == (110, 10)
    seen = {}
    for seed in (0, 1):
        cfg = config('kd', cached=tmp_path / 'cache', randomness__seed=seed, train_cfg__max_epochs=4)
        runner = RUNNERS.build(cfg)
        watch = Watch(runner)
        runner.train()
        for epoch, index, image in watch.images:
            known = seen.setdefault((epoch % 2, index), image)
            assert torch.equal(known, image), 'the view of an image, whatever the epoch and the seed'
    assert len({view for view, _ in seen}) == 2


@pytest.mark.parametrize('top_k, tolerance', [(10, 5e-3), (9, 5e-3), (3, 0.3)])
def test_top_k_keeps_the_largest_and_the_mass_of_the_rest(top_k, tolerance, config, tmp_path):
    whole = write_cache(config('kd'), str(tmp_path / 'whole'), views=1)
    part = write_cache(config('kd'), str(tmp_path / 'part'), views=1, top_k=top_k)
    logits, kept = (x.read('view000', range(110))[0] for x in (whole, part))
    torch.testing.assert_close(logits.topk(top_k).values, kept.topk(top_k).values)
    p, q = logits.softmax(1), kept.softmax(1)
    assert torch.allclose(q.sum(1), torch.ones(110))
    torch.testing.assert_close(p.topk(top_k).values, q.topk(top_k).values, atol=2e-3, rtol=2e-3)
    assert (p - q).abs().max() < tolerance
    if top_k == 3:
        others = q.scatter(1, p.topk(3).indices, 0)
        assert (others.sum(1) - (1 - p.topk(3).values.sum(1))).abs().max() < 3e-3, 'spread evenly'


STALE = {
    'another teacher file': dict(model__teacher__checkpoint='other'),
    'another digest in its name': dict(model__teacher__checkpoint='other'),
    'another teacher': dict(model__teacher__mean=[1.0] * 3, model__teacher__std=[1.0] * 3),
    'other data': dict(train_dataloader__dataset__per_class=12),
    'another pipeline': dict(pipeline=None),
    'another normalisation': dict(data_preprocessor__mean=[1.0] * 3),
    'mixed images': dict(data_preprocessor__batch_augments=MIX),
}


@pytest.mark.parametrize('what', STALE)
def test_a_stale_cache_is_refused_with_the_reason(what, config, tmp_path, tiny_teacher):
    write_cache(config('kd'), str(tmp_path / 'cache'), views=1)
    options = dict(STALE[what])
    if what == 'another teacher file':
        state = torch.load(tiny_teacher)
        torch.save({k: v + 1 for k, v in state.items()}, tmp_path / 'other.pth')
        options['model__teacher__checkpoint'] = str(tmp_path / 'other.pth')
    if what == 'another digest in its name':
        options['model__teacher__checkpoint'] = f'nowhere.pth#sha256={"a" * 64}'
    options.pop('pipeline', None)
    cfg = config('kd', cached=tmp_path / 'cache', **options)
    if what == 'another pipeline':
        cfg.train_dataloader.dataset.pipeline[0].transforms[0].padding = 2
    with pytest.raises(UserError, match=r'cache: expected a cache of .* got one of another') as info:
        RUNNERS.build(cfg).train()
    words = {
        'another teacher file': 'sha256',
        'another digest in its name': 'sha256',
        'another teacher': 'mean',
        'other data': 'another data',
        'another pipeline': '"padding": ',
        'another normalisation': '"mean": ',
        'mixed images': 'another pipeline',
    }
    assert words[what] in str(info.value) and 'tools/cache_teacher.py' in str(info.value)


@pytest.mark.parametrize('who', ['writer', 'reader'])
def test_a_number_of_classes_that_comes_from_the_data_is_the_same_teacher(who, config, tmp_path):
    written, read = config('kd'), config('kd')
    (written if who == 'writer' else read).model.teacher.pop('num_classes')
    write_cache(written, str(tmp_path / 'cache'), views=1)
    read.model.teacher.cache = str(tmp_path / 'cache')
    assert RUNNERS.build(read).model.teacher.num_classes == 10


def test_the_models_own_preprocessor_is_the_one_of_the_run_and_of_the_cache(config, tmp_path):
    def both(**options):
        cfg = config('kd', **options)
        cfg.model.data_preprocessor = dict(cfg.data_preprocessor, std=[99.0])
        return cfg

    write_cache(both(), str(tmp_path / 'cache'), views=3)
    online, runner = losses_of(both())
    assert runner.model.data_preprocessor.std.item() == 99, "mmengine takes the model's own"
    cached, _ = losses_of(both(cached=tmp_path / 'cache'))
    np.testing.assert_allclose(cached['train/loss_kd'], online['train/loss_kd'], rtol=5e-3, atol=5e-3)


def test_a_config_that_names_its_cache_writes_and_reads_it(config, tmp_path):
    cfg = config('kd', cached=tmp_path / 'cache')
    write_cache(cfg, str(tmp_path / 'cache'), views=1)
    teacher = RUNNERS.build(cfg).model.teacher
    net = {key: x for key, x in cfg.model.teacher.items() if key != 'cache'}
    cfg.model.teacher = dict(type='CachedTeacher', cache=str(tmp_path / 'cache'), net=net, weight=0.5)
    cfg.experiment_name += 'long'
    long = RUNNERS.build(cfg).model.teacher
    assert isinstance(teacher, CachedTeacher) and teacher.digest() == long.digest()
    assert (teacher.weight, long.weight) == (1.0, 0.5)
    cfg.model.teacher, cfg.experiment_name = dict(net, cache=str(teacher.cache.folder), weight=0.25), 'short'
    assert RUNNERS.build(cfg).model.teacher.weight == 0.25


def test_mixed_images_want_the_batches_of_the_cache(config, tmp_path):
    mixing = dict(data_preprocessor__batch_augments=MIX)
    write_cache(config('kd', **mixing), str(tmp_path / 'cache'), views=1)
    cfg = config('kd', cached=tmp_path / 'cache', train_dataloader__batch_size=10, **mixing)
    with pytest.raises(UserError, match="another mixing: batch_size: ...'25', now ...'10'"):
        RUNNERS.build(cfg).train()
    write_cache(config('kd'), str(tmp_path / 'plain'), views=1)
    losses_of(config('kd', cached=tmp_path / 'plain', train_dataloader__batch_size=10))  # any batch will do


def test_what_a_cache_cannot_give_is_refused(config, tmp_path):
    for method in ('fitnet', 'cat', 'vkd'):
        with pytest.raises(UserError, match="FeatureDistiller, which reads the teacher's maps"):
            write_cache(config(method), str(tmp_path / 'x'), views=1)
    write_cache(config('kd'), str(tmp_path / 'cache'), views=1)
    for method in ('fitnet', 'cat', 'vkd'):
        with pytest.raises(UserError, match='expected a method on logits or embeddings, got one that reads'):
            RUNNERS.build(config(method, cached=tmp_path / 'cache'))
    with pytest.raises(UserError, match='expected a cache with embeddings.*--embedding'):
        RUNNERS.build(config('hcd', cached=tmp_path / 'cache')).train()
    write_cache(config('kd'), str(tmp_path / 'both'), views=1, embedding=True)
    cfg = config('hcd', cached=tmp_path / 'both', train_cfg__max_epochs=1)
    RUNNERS.build(cfg).train()
    cfg = config('kd')
    cfg.model.teacher = [cfg.model.teacher, cfg.model.teacher]
    with pytest.raises(UserError, match='one teacher that is a net, got 2'):
        write_cache(cfg, str(tmp_path / 'x'), views=1)
    for wrong in (dict(views=0), dict(views=1, top_k=11)):
        with pytest.raises(UserError, match='views >= 1 and top_k from 0 to 10'):
            write_cache(config('kd'), str(tmp_path / 'x'), **wrong)


def test_a_switch_of_pipeline_or_mixing_is_refused(config, tmp_path):
    write_cache(config('kd'), str(tmp_path / 'cache'), views=1)
    cfg = config('kd', cached=tmp_path / 'cache')
    schedule = [dict(action_epoch=2, batch_augments=None)]
    cfg.default_hooks.switch = dict(type='SwitchRecipeHook', schedule=schedule)
    with pytest.raises(UserError, match='one mixing for the whole run.*SwitchRecipeHook'):
        RUNNERS.build(cfg).train()


def test_a_resumed_run_needs_the_cache_it_had(config, tmp_path):
    for seed in (0, 1):
        write_cache(config('kd'), str(tmp_path / f'cache{seed}'), views=1, seed=seed)
    options = dict(work_dir=tmp_path / 'run', default_hooks__checkpoint__interval=1)
    RUNNERS.build(config('kd', cached=tmp_path / 'cache0', **options)).train()
    cfg = config('kd', cached=tmp_path / 'cache1', train_cfg__max_epochs=4, **options)
    cfg.resume = True
    with pytest.raises(UserError, match='teachers.0.seed: 0 -> 1'):
        RUNNERS.build(cfg).train()


def test_a_rarely_random_transform_is_found_by_what_it_is(config, tmp_path):
    cfg = config('kd')
    cfg.train_dataloader.dataset.pipeline.insert(0, dict(type='RandomFlip', prob=1e-6))
    with pytest.raises(UserError, match='views that repeat, got RandomFlip; put all'):
        write_cache(cfg, str(tmp_path / 'cache'), views=1)


def test_random_transforms_that_do_not_repeat_are_refused(config, tmp_path):
    cfg = config('kd')
    cfg.train_dataloader.dataset.pipeline.insert(0, dict(type='RandomCrop', crop_size=8, padding=3))
    with pytest.raises(UserError, match='views that repeat.*RandomSeeded'):
        write_cache(cfg, str(tmp_path / 'x'), views=1)


def test_a_broken_a_missing_and_an_unfinished_cache_are_named(config, tmp_path):
    folder = tmp_path / 'cache'
    with pytest.raises(UserError, match='tools/cache_teacher.py CONFIG --out'):
        RUNNERS.build(config('kd', cached=folder))
    cache = write_cache(config('kd'), str(folder), views=1)
    path = folder / 'view000.logits.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match='view000.logits.npy: expected the file that was written'):
        RUNNERS.build(config('kd', cached=folder)).train()
    header = {key: x for key, x in cache.header.items() if key != 'files'}
    (folder / 'header.json').write_text(json.dumps(header))
    with pytest.raises(UserError, match='expected a whole cache, got a part'):
        TeacherCache(folder).read('view000', [0])
    (folder / 'header.json').write_text(json.dumps({**header, 'format': 9}))
    with pytest.raises(UserError, match='expected the header of a cache of format 3, got 9'):
        TeacherCache(folder)
    with pytest.raises(UserError, match='got 9; delete the cache'):
        write_cache(config('kd'), str(folder), views=1)


DAMAGE = {
    'header.json': [
        ('', 'damaged file'),
        ('[]', 'damaged file'),
        ('{', 'damaged file'),
        ('{"format": 2}', 'a part of one'),
    ],
    'view000.logits.npy': [('', 'got a damaged file'), ('x' * 9000, 'got a damaged file')],
    'view000.progress': [('', "a number of images, got ''"), ('-1', 'a number of images')],
}


@pytest.mark.parametrize('name, text, words', [(x, *case) for x, cases in DAMAGE.items() for case in cases])
def test_a_damaged_file_of_a_cache_ends_in_a_sentence(name, text, words, tmp_path):
    header = dict(images=8, classes=3, views=1, seed=0, top_k=0, embedding=False, validation=0)
    cache = TeacherCache.create(tmp_path, header)
    cache.write('view000', range(8), torch.zeros(8, 3))
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        cache = TeacherCache(tmp_path)
        cache.progress('view000')
        cache.write('view000', [0], torch.zeros(1, 3))
        cache.read('view000', [0])


@pytest.mark.parametrize('views', [-1, 0, 2, 10**6])
def test_another_number_of_views_in_a_header_is_a_damaged_one(views, tmp_path):
    header = dict(images=8, classes=3, views=1, seed=0, top_k=0, embedding=False, validation=0)
    cache = TeacherCache.create(tmp_path, header)
    cache.write('view000', range(8), torch.zeros(8, 3))
    cache.finish()
    whole = json.loads((tmp_path / 'header.json').read_text())
    assert TeacherCache(tmp_path).read('view000', [7])[0].tolist() == [[0, 0, 0]]
    (tmp_path / 'header.json').write_text(json.dumps({**whole, 'views': views}))
    with pytest.raises(UserError, match='the header of a cache of format 3, got None; delete the cache'):
        TeacherCache(tmp_path)


def test_a_full_disk_ends_in_a_sentence_and_leaves_no_part(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache = TeacherCache.create(
        tmp_path, dict(images=8, classes=3, views=1, seed=0, top_k=0, embedding=False, validation=0)
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, 'posix_fallocate', full)
        with pytest.raises(
            UserError, match='logits.npy: expected 0.0 MiB of disk, got No space left on device; f'
        ):
            cache.write('view000', range(8), torch.zeros(8, 3))
    assert [x.name for x in tmp_path.iterdir()] == ['header.json']
    cache.write('view000', range(8), torch.zeros(8, 3))


def test_a_killed_writing_goes_on_where_it_was(tmp_path, tiny_teacher, run_tool):
    """The tool itself, killed -9; and what is there is not computed again."""
    config = ['configs/mldrkd/vit-micro_cnn-micro_digits.py', '--method', 'kd']
    few = [*config, '--views', 4]
    options = [f'model.teacher.checkpoint={tiny_teacher}', 'train_dataloader.dataset.per_class=20']
    options += ['train_dataloader.batch_size=2', 'train_dataloader.num_workers=0']
    run_tool('cache_teacher.py', *few, '--out', tmp_path / 'few', '--cfg-options', *options)
    command, env = tool_command(
        'cache_teacher.py', *config, '--views', 200, '--out', tmp_path / 'killed', '--cfg-options', *options
    )
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    note = tmp_path / 'killed/view003.progress'
    deadline = time.time() + 120
    while not note.exists():
        assert process.poll() is None and time.time() < deadline, process.stdout.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    header = json.loads((tmp_path / 'killed/header.json').read_text())
    assert 'files' not in header
    header['views'] = 4  # the rest of the 200 is of no interest
    (tmp_path / 'killed/header.json').write_text(json.dumps(header))
    before = os.stat(tmp_path / 'killed/view000.logits.npy').st_mtime_ns
    options[-2] = 'train_dataloader.batch_size=7'  # what is written counts in images
    run_tool('cache_teacher.py', *few, '--out', tmp_path / 'killed', '--cfg-options', *options)
    assert os.stat(tmp_path / 'killed/view000.logits.npy').st_mtime_ns == before
    whole, again = (TeacherCache(tmp_path / x) for x in ('few', 'killed'))
    for view in (f'view{i:03d}' for i in range(4)):
        rows = (x.read(view, range(200))[0] for x in (whole, again))
        torch.testing.assert_close(*rows, rtol=1e-3, atol=1e-3)  # other batches round otherwise
    assert whole.is_whole and again.is_whole and not list((tmp_path / 'killed').glob('*.progress'))


def test_two_processes_read_their_own_rows(tmp_path, run_tool, tiny_teacher):
    """Each process sees the losses of its online twin, with partners from its own batch."""
    (tmp_path / 'online.py').write_text(f"""
_base_ = ['{ROOT}/configs/mldrkd/vit-micro_cnn-micro_digits.py']
model = dict(teacher=dict(checkpoint='{tiny_teacher}'))
data_preprocessor = dict(num_classes=10, batch_augments={MIX})
train_dataloader = dict(batch_size=10, dataset=dict(per_class=6))
train_cfg = dict(max_epochs=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1))
""")
    run_tool(
        'cache_teacher.py',
        tmp_path / 'online.py',
        '--method',
        'kd',
        '--out',
        tmp_path / 'cache',
        '--views',
        2,
        '--processes',
        2,
    )
    losses = {}
    for name, options in (
        ('online', ()),
        ('cached', ('--cfg-options', f'model.teacher.cache={tmp_path}/cache')),
    ):
        env = dict(PORT=free_port())
        args = [tmp_path / 'online.py', 2, '--method', 'kd', '--no-validate', '--work-dir', tmp_path / name]
        run_tool('dist_train.sh', *args, *options, env=env)
        (path,) = (tmp_path / name).glob('*/vis_data/scalars.json')
        lines = [json.loads(x) for x in path.read_text().splitlines()]
        losses[name] = [x['loss_kd'] for x in lines if 'loss_kd' in x]
    assert len(losses['online']) == 6
    np.testing.assert_allclose(losses['cached'], losses['online'], rtol=5e-3, atol=5e-3)
    model = json.loads((tmp_path / 'cache/header.json').read_text())
    assert (model['mixing']['batch_size'], model['mixing']['processes']) == (10, 2)


def test_images_without_a_row_of_their_own_are_refused(config, tmp_path):
    def build(**options):
        cfg = config('kd', **options)
        inner = dict(cfg.train_dataloader.dataset)
        return cfg, inner

    cfg, inner = build()
    cfg.train_dataloader.dataset = Config(dict(x=dict(type='ConcatDataset', datasets=[inner, inner]))).x
    with pytest.raises(UserError, match='expected one data set whose images have places .* ConcatDataset'):
        write_cache(cfg, str(tmp_path / 'x'), views=1)
    cfg, inner = build()
    cfg.val_dataloader.dataset = Config(dict(x=dict(type='ConcatDataset', datasets=[inner, inner]))).x
    with pytest.raises(UserError, match='ConcatDataset.*val_dataloader, val_cfg and val_evaluator to None'):
        write_cache(cfg, str(tmp_path / 'x'), views=1)
    cfg, inner = build(data_preprocessor__batch_augments=MIX)
    cfg.train_dataloader.dataset = Config(dict(x=dict(type='RepeatDataset', dataset=inner, times=2))).x
    with pytest.raises(UserError, match='each image once in an epoch where images are mixed.*got RepeatDat'):
        write_cache(cfg, str(tmp_path / 'x'), views=1)


REPEATED = dict(
    data=dict(train_dataloader__dataset=lambda x: dict(type='RepeatDataset', dataset=x, times=2)),
    sampler=dict(train_dataloader__sampler=lambda x: dict(type='RepeatAugSampler', num_repeats=3)),
)


@pytest.mark.parametrize('case', REPEATED)
def test_repeated_images_have_several_views_and_a_cache_one(case, config, tmp_path):
    write_cache(config('kd'), str(tmp_path / 'cache'), views=1)

    def repeated(**options):
        cfg = config('kd', **options)
        ((key, change),) = REPEATED[case].items()
        name = key.split('__')[1]
        cfg.train_dataloader[name] = Config(dict(x=change(dict(cfg.train_dataloader[name])))).x
        return cfg

    with pytest.raises(
        ValueError, match='expected each image once in an epoch, as each has one row in a view'
    ):
        write_cache(repeated(), str(tmp_path / 'x'), views=1)
    with pytest.raises(
        ValueError, match='expected each image once in an epoch.*RepeatDataset|RepeatAugSampler'
    ):
        losses_of(repeated(cached=tmp_path / 'cache'))


def test_an_image_that_fills_a_round_of_several_processes_has_two_partners(config, tmp_path):
    options = dict(data_preprocessor__batch_augments=MIX, train_dataloader__batch_size=10)

    def write(indices, drop_last, name):
        data = dict(train_dataloader__dataset__indices=indices, train_dataloader__drop_last=drop_last)
        return write_cache(config('kd', **options, **data), str(tmp_path / name), views=1, processes=2)

    for indices, drop_last in ((61, False), (59, True)):  # 59: three whole batches of ten each, and one twice
        with pytest.raises(UserError, match='each image once in an epoch where images are mixed'):
            write(indices, drop_last, 'x')
    assert write(61, True, 'dropped').is_whole and write(60, False, 'even').is_whole


def test_mixed_images_in_another_order_are_refused(config, tmp_path):
    """Their partners would be others."""
    options = dict(data_preprocessor__batch_augments=MIX)
    write_cache(config('kd', **options), str(tmp_path / 'cache'), views=1)
    for change in (dict(train_dataloader__sampler__shuffle=False), dict(train_dataloader__drop_last=False)):
        with pytest.raises(UserError, match='one of another mixing: (sampler|drop_last)'):
            losses_of(config('kd', cached=tmp_path / 'cache', **options, **change))
    sampler = dict(train_dataloader__sampler=dict(_delete_=True, type='InfiniteSampler'))
    iterations = dict(_delete_=True, by_epoch=False, max_iters=4)
    with pytest.raises(
        ValueError, match='each image once in an epoch where images are mixed.*InfiniteSampler'
    ):
        losses_of(config('kd', cached=tmp_path / 'cache', train_cfg=iterations, **options, **sampler))


def test_batches_of_ones_own_are_mixed_in_an_order_of_their_own(config, tmp_path, monkeypatch):
    """Without mixing each image stands for itself, in any batch."""
    batches = dict(
        train_dataloader__batch_sampler=dict(type='Batches', drop_last=False),
        train_dataloader__drop_last=False,
    )
    monkeypatch.setitem(DATA_SAMPLERS.module_dict, 'Batches', BatchSampler)
    online, _ = losses_of(config('kd', **batches))
    write_cache(config('kd', **batches), str(tmp_path / 'cache'), views=3)
    cached, _ = losses_of(config('kd', cached=tmp_path / 'cache', **batches))
    for name, values in online.items():
        np.testing.assert_allclose(cached[name], values, rtol=1e-3)
    mixed = config('kd', data_preprocessor__batch_augments=MIX, **batches)
    with pytest.raises(UserError, match='once in an epoch where images are mixed.*with BatchSampler'):
        write_cache(mixed, str(tmp_path / 'mixed'), views=1)


def test_other_validation_images_leave_the_teacher_unmeasured_and_not_wrong(config, tmp_path):
    write_cache(config('kd'), str(tmp_path / 'cache'), views=1)
    options = dict(val_dataloader__dataset__indices=100, train_cfg__max_epochs=1, train_cfg__val_interval=1)
    runner = RUNNERS.build(config('kd', cached=tmp_path / 'cache', **options))
    runner.train()
    metrics = json.loads(Path(runner.work_dir, 'results.json').read_text())['metrics']['1']
    assert metrics['accuracy/top1'] > 0 and math.isnan(metrics['teacher/top1'])
    (log,) = Path(runner.work_dir).glob('*/*.log')
    assert 'its validation images are not those of this run' in log.read_text()


def test_probabilities_of_augmentations_are_those_of_the_config(config, tmp_path):
    """mmpretrain completes their list in place."""
    options = dict(data_preprocessor__batch_augments=dict(MIX, augments=MIX['augments'][:1], probs=[0.5]))
    write_cache(config('kd', **options), str(tmp_path / 'cache'), views=1)
    losses_of(config('kd', cached=tmp_path / 'cache', train_cfg__max_epochs=1, **options))


@pytest.mark.parametrize('method', ['rkd', 'rsd', 'crd'])
def test_a_teacher_without_a_class_head_is_cached_without_logits(method, config, tmp_path):
    options = dict(model__teacher__num_classes=0)
    if method == 'crd':
        options['model__losses__0__num_negatives'] = 8
    cache = write_cache(config(method, **options), str(tmp_path / 'cache'), views=3)
    assert sorted(cache.header['files']) == [f'view00{i}.embedding.npy' for i in range(3)]
    assert cache.header['classes'] == cache.header['validation'] == 0
    logits, embedding = cache.read('view001', [3, 4])
    assert logits is None and embedding.shape == (2, cache.header['embedding_channels'])
    online, _ = losses_of(config(method, **options))
    cached, runner = losses_of(config(method, cached=tmp_path / 'cache', **options))
    assert online.keys() == cached.keys()
    for name, values in online.items():
        np.testing.assert_allclose(cached[name], values, rtol=5e-3, atol=5e-3, err_msg=name)
    metrics = json.loads(Path(runner.work_dir, 'results.json').read_text())['metrics']['3']
    assert metrics['accuracy/top1'] > 0 and not any('teacher' in x for x in metrics)


def test_a_cache_without_logits_is_refused_by_a_method_that_reads_them(config, tmp_path):
    options = dict(model__teacher__num_classes=0)
    write_cache(config('rkd', **options), str(tmp_path / 'cache'), views=1)
    with pytest.raises(UserError, match=r'LogitDistiller \(KDLoss\): expected a teacher with a class head'):
        RUNNERS.build(config('kd', cached=tmp_path / 'cache', **options))
    with pytest.raises(UserError, match='expected a cache of the teacher in the config'):
        RUNNERS.build(config('rkd', cached=tmp_path / 'cache'))
    with pytest.raises(UserError, match='views >= 1 and top_k from 0 to 0'):
        write_cache(config('rkd', **options), str(tmp_path / 'top'), views=1, top_k=3)


def test_a_cached_teachers_logits_are_given_where_they_are_read(config, tmp_path):
    write_cache(config('rkd'), str(tmp_path / 'cache'), views=1)
    teacher = RUNNERS.build(config('rkd', cached=tmp_path / 'cache')).model.teacher
    teacher.view = 0
    images = torch.zeros(2, 3, 16, 16)
    assert teacher(images, [0, 1], embedding=True, logits=False).logits is None
    assert teacher(images, [0, 1]).logits.shape == (2, 10) and teacher(images, [0, 1]).embedding is None
