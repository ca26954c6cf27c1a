"""Weights load whole, of the right state dict, under the right names, as finite numbers; or not at all."""

import json

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from torch.optim.swa_utils import AveragedModel

from hetkd.apis.student import export_student, load_student, publish_student
from hetkd.errors import UserError
from hetkd.models.nets.checkpoint import load_but_head, read_weights
from hetkd.registry import MODELS
from hetkd.teacher_cache import TeacherCache, write_cache
from hetkd.testing import micro_net
from tests.engine.conftest import runner_of  # noqa: F401
from tests.tools.test_cache_teacher import config  # noqa: F401

STILL = dict(optim_wrapper__optimizer__lr=0.0, param_scheduler=None, train_cfg__max_epochs=1)


def net_and(tmp_path, content, name='file.pth'):
    """A net, and the file of what ``content(its state dict)`` gives."""
    net = MODELS.build(micro_net('cnn'))
    path = str(tmp_path / name)
    torch.save(content(dict(net.model.state_dict())), path)
    return net, path


def with_prefix(prefix):
    return lambda state: {prefix + key: value for key, value in state.items()}


def other_values(state):
    return {key: value + 1 for key, value in state.items()}


def with_value(state, name, value):
    """The same with one number of one weight."""
    changed = state[name].clone()
    changed.view(-1)[0] = value
    return {**state, name: changed}


class Stopped(Exception):
    """Raised before the first step."""


class Stop(Hook):
    """End before the first step, after all checks."""

    priority = 'LOWEST'

    def before_train_epoch(self, runner):
        raise Stopped


def until_the_first_step(runner):
    runner.register_hook(Stop())
    with pytest.raises(Stopped):
        runner.train()
    return runner


# Names and state dicts.

LOADS = {
    'ema of timm': lambda s: dict(state_dict=other_values(s), state_dict_ema=s),
    'ema of DeiT': lambda s: dict(model=other_values(s), model_ema=s, args=dict(lr=1)),
    'state_dict before model': lambda s: dict(model=other_values(s), state_dict=s),
    'ema without a value': lambda s: dict(state_dict=s, state_dict_ema=None),
    'DDP': with_prefix('module.'),
    'compiled': with_prefix('_orig_mod.'),
    'DDP of a compiled net': with_prefix('module._orig_mod.'),
    'compiled DDP of a Lightning module': with_prefix('_orig_mod.module.model.'),
    'student': with_prefix('student.'),
    'a backbone and a head': lambda s: {
        ('' if key.startswith('head.') else 'model.') + key: value for key, value in s.items()
    },
    'student beside a teacher': lambda s: (
        with_prefix('student.')(s) | with_prefix('teacher.')(other_values(s))
    ),
    'our checkpoint of DDP': lambda s: (
        with_prefix('module.student.model.')(s) | {'module.projector.x': torch.ones(1)}
    ),
    'an average': lambda s: dict(with_prefix('module.')(s), n_averaged=torch.tensor(3)),
    'meta is a list': lambda s: dict(state_dict=s, meta=['a']),
    'classes are a number': lambda s: dict(state_dict=s, meta=dict(dataset_meta=dict(classes=5))),
    'data of a list': lambda s: dict(state_dict=s, meta=dict(dataset_meta=['a'])),
    'half precision': lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
}


@pytest.mark.parametrize('case', LOADS)
def test_a_file_is_read_where_it_is_unambiguous(case, tmp_path):
    net, path = net_and(tmp_path, LOADS[case])
    other = MODELS.build(micro_net('cnn', checkpoint=path))
    assert other.classes is None
    tolerance = 1e-3 if case == 'half precision' else 0
    for key, value in net.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[key], value, rtol=tolerance, atol=tolerance)


def test_an_averaged_model_of_torch_is_read(tmp_path):
    net = MODELS.build(micro_net('cnn'))
    torch.save(AveragedModel(net.model).state_dict(), tmp_path / 'average.pth')
    MODELS.build(micro_net('cnn', checkpoint=str(tmp_path / 'average.pth')))


@pytest.mark.parametrize(
    'case, lines', [('ema of timm', 1), ('ema of DeiT', 1), ('DDP', 0), ('meta is a list', 0)]
)
def test_one_line_says_which_of_several_was_taken(case, lines, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'hetkd.models.nets.checkpoint.print_log', lambda text, *args, **kwargs: said.append(text)
    )
    MODELS.build(micro_net('cnn', checkpoint=net_and(tmp_path, LOADS[case])[1]))
    assert len(said) == lines
    assert all('file.pth: takes ' in x and '_ema' in x.split(',')[0] for x in said)


def as_timm_once_named(state):
    """Swin of timm 0.6.5: a stage ends with its downsampling, and tables of indices are saved."""

    def name(key):
        parts = key.replace('head.fc.', 'head.').split('.')
        if 'downsample' in parts:
            parts[1] = str(int(parts[1]) - 1)
        return '.'.join(parts)

    tables = {f'layers.{i}.blocks.0.attn.relative_position_index': torch.arange(4) for i in range(4)}
    return {name(key): value for key, value in state.items()} | tables


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_names_of_an_earlier_timm_are_read(prefix, tmp_path):
    net = MODELS.build(micro_net('swin'))
    state = {prefix + key: value for key, value in as_timm_once_named(net.model.state_dict()).items()}
    path = str(tmp_path / 'old.pth')
    torch.save(dict(model=state), path)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        logits = [x.eval()(images).logits for x in (net, MODELS.build(micro_net('swin', checkpoint=path)))]
    assert torch.equal(*logits)
    torch.save(dict(list(state.items())[1:]), path)
    with pytest.raises(UserError, match='old.pth: expected the weights of SwinTransformer'):
        MODELS.build(micro_net('swin', checkpoint=path))


def test_timm_converts_names_and_resizes_nothing(tmp_path):
    """Its conversion would fit the tables of another window size."""
    path = str(tmp_path / 'old.pth')
    torch.save(as_timm_once_named(MODELS.build(micro_net('swin')).model.state_dict()), path)
    other = micro_net('swin', checkpoint=path)
    other['model_kwargs']['window_size'] = 8
    with pytest.raises(UserError, match='expected the weights of SwinTransformer exactly as configured'):
        MODELS.build(other)


REFUSED = {
    'unknown prefix': (with_prefix('encoder.'), r"Without the prefix 'encoder\.'"),
    'student and more of it': (
        lambda s: with_prefix('student.')(s) | {'student.more': torch.ones(1)},
        'Unexpected key.*more',
    ),
    'backbone alone': (
        lambda s: {k: v for k, v in s.items() if k.startswith('backbone.')},
        'Missing key.*head.fc.weight',
    ),
    'nothing': (lambda s: {}, 'expected a state dict'),
    'numbers for names': (lambda s: dict(enumerate(s.values())), 'expected a state dict'),
    'int8': (lambda s: {k: v.to(torch.int8) for k, v in s.items()}, 'conv1.weight: float, file integer'),
    'bool': (lambda s: {k: v.bool() for k, v in s.items()}, 'conv1.weight: float, file bool'),
    'complex': (lambda s: {k: v + 0j for k, v in s.items()}, 'conv1.weight: float, file complex64'),
    'a float count': (
        lambda s: {k: v.float() for k, v in s.items()},
        'num_batches_tracked: integer, file float',
    ),
    'NaN': (lambda s: with_value(s, 'head.fc.weight', np.nan), 'in head.fc.weight;'),
    '-inf': (lambda s: with_value(s, 'head.fc.bias', -np.inf), 'in head.fc.bias;'),
    'NaN in a buffer': (
        lambda s: {k: v * np.nan if 'running_var' in k else v for k, v in s.items()},
        r'running_var.* and \d+ more',
    ),
    'too large for float32': (
        lambda s: {k: v.double() + 1e300 if k == 'head.fc.bias' else v for k, v in s.items()},
        'in head.fc.bias;',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_other_files_are_refused_with_names_whoever_reads_them(case, tmp_path):
    content, message = REFUSED[case]
    net, path = net_and(tmp_path, content)
    for kind in (net, None):
        with pytest.raises(UserError, match=f'(?s)file.pth: .*{message}') as info:
            if kind is None:
                MODELS.build(micro_net('cnn', checkpoint=path))
            else:
                load_but_head(net.model, read_weights(path).state_dict, path, 10)
        assert len(str(info.value)) < 1500, 'the first names, not all'


def test_keys_are_counted_and_only_the_first_are_named(tmp_path):
    path = str(tmp_path / 'vit.pth')
    torch.save(MODELS.build(micro_net('vit')).model.state_dict(), path)
    with pytest.raises(
        ValueError, match=r'(?s)Missing key.*and \d+ more \(\d+ in all\).*Unexpected key'
    ) as info:
        MODELS.build(micro_net('cnn', checkpoint=path))
    assert len(str(info.value)) < 1500


def test_a_mask_that_is_infinite_in_the_net_itself_is_no_fault(tmp_path):
    net = MODELS.build(micro_net('cnn'))
    net.model.register_buffer('mask', torch.tensor([0.0, -np.inf]))
    path = str(tmp_path / 'mask.pth')
    torch.save(net.model.state_dict(), path)
    load_but_head(net.model, read_weights(path).state_dict, path, 10)
    torch.save(dict(net.model.state_dict(), mask=torch.tensor([-np.inf, 0.0])), path)
    with pytest.raises(UserError, match='NaN or infinite ones in mask'):
        load_but_head(net.model, read_weights(path).state_dict, path, 10)


def test_a_head_of_another_name_is_begun_from_too(tmp_path):
    big, small = (
        torch.nn.ModuleDict(dict(body=torch.nn.Linear(2, 4), fc=torch.nn.Linear(4, n))) for n in (9, 3)
    )
    state = {'module.' + key: value for key, value in big.state_dict().items()}
    with pytest.raises(UserError, match='size mismatch for fc.weight'):
        load_but_head(small, state, 'x', 3)
    kept = small['fc'].weight.clone()
    load_but_head(small, state, 'x', 3, heads=('fc',))
    assert torch.equal(small['body'].weight, big['body'].weight) and torch.equal(small['fc'].weight, kept)


# load_from.


@pytest.fixture
def trained(runner_of, tmp_path):  # noqa: F811
    """A run of MLDR-KD: its config, its checkpoint and its top-1."""
    runner = runner_of(work_dir=tmp_path / 'first', train_cfg__max_epochs=1)
    runner.train()
    return runner, str(tmp_path / 'first/epoch_1.pth'), top1(tmp_path / 'first')


def top1(work_dir):
    return json.loads((work_dir / 'results.json').read_text())['last']['value']


def exported(runner, checkpoint, tmp_path):
    out = str(tmp_path / 'student.pth')
    export_student(runner.cfg, checkpoint, out)
    return out


def same(one, other, prefix):
    keys = [key for key in one if key.startswith(prefix)]
    return bool(keys) and all(torch.equal(one[key], other[key]) for key in keys)


def test_a_run_begins_with_the_weights_it_is_given(trained, runner_of, tmp_path):  # noqa: F811
    runner, checkpoint, accuracy = trained
    state = torch.load(checkpoint)['state_dict']
    cases = {
        'exported': (exported(runner, checkpoint, tmp_path), 'mldrkd', False),
        'same': (checkpoint, 'mldrkd', True),
        'other': (checkpoint, 'kd', None),
        'scratch': (checkpoint, 'scratch', None),
    }
    for name, (path, method, whole) in cases.items():
        work_dir = tmp_path / name
        second = runner_of(method, work_dir, load_from=path, **STILL)
        if name == 'exported':
            student = second.model.student.eval()  # also in training, where BatchNorm would count anew
            student.train = lambda mode=True, student=student: student
            second.train()
            assert top1(work_dir) == accuracy
        else:
            until_the_first_step(second)
        found = second.model.state_dict()
        assert same(found, state, 'student.'), name
        if whole is not None:
            assert same(found, state, 'projector.') == whole, name
        log = next(work_dir.glob('*/*.log')).read_text()
        assert log.count('load_from: ') == 1
        assert ('start anew' in log) == (not whole)


LOAD_FROM = {
    'another net': (lambda s: MODELS.build(micro_net('vit')).model.state_dict(), 'Missing key.*in all'),
    'a part': (lambda s: dict(list(s.items())[:-1]), 'Missing key'),
    'NaN': (lambda s: {k: v * np.nan if v.dim() else v for k, v in s.items()}, 'expected finite weights'),
    'another head': (
        lambda s: {k: v[:7] if k.startswith('head') else v for k, v in s.items()},
        '10 classes, got one of 7',
    ),
    'integers': (lambda s: {k: v.int() for k, v in s.items()}, 'float, file integer'),
}


@pytest.mark.parametrize('case', LOAD_FROM)
def test_a_run_is_refused_with_the_keys_where_the_weights_are_others(case, runner_of, tmp_path):  # noqa: F811
    content, message = LOAD_FROM[case]
    runner = runner_of('scratch')
    path = str(tmp_path / 'start.pth')
    torch.save(dict(state_dict=content(runner.model.student.model.state_dict())), path)
    with pytest.raises(UserError, match=f'(?s)start.pth: .*{message}'):
        runner_of('scratch', load_from=path).train()


def test_a_diverged_student_is_neither_exported_nor_published(trained, tmp_path):
    runner, checkpoint, _ = trained
    content = torch.load(checkpoint)
    content['state_dict']['student.model.head.fc.weight'][0, 0] = np.nan
    torch.save(content, tmp_path / 'nan.pth')
    path, out = str(tmp_path / 'nan.pth'), str(tmp_path / 'out.pth')
    for write in (lambda: export_student(runner.cfg, path, out), lambda: publish_student(path, out)):
        with pytest.raises(UserError, match='nan.pth: expected finite weights, got .* in head.fc.weight'):
            write()
    assert not list(tmp_path.glob('out*'))
    load_student(runner.model, checkpoint)


# Teachers.

TEACHERS = {
    'weights': lambda net: [x.data.fill_(np.nan) for x in net.parameters()],
    'the bias of the head': lambda net: net.head.bias.data[3].fill_(-np.inf),
    'the last block': lambda net: net.blocks[-1].mlp.fc2.weight.data[0].fill_(np.nan),
}


READERS = ['dist', 'rkd', 'rsd', 'cc', 'crd', 'at', 'kd', 'ofa', 'hcd', 'mldrkd']


@pytest.mark.parametrize('case', TEACHERS)
@pytest.mark.parametrize('method, validates', [*((x, False) for x in READERS), ('kd', True), ('at', True)])
def test_a_teacher_of_no_numbers_is_named(case, method, validates, runner_of, tiny_teacher):  # noqa: F811
    options = {} if validates else dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    runner = runner_of(method, **options, default_hooks__teacher_check__allow_chance=True)
    with torch.no_grad():
        TEACHERS[case](runner.model.teacher.net.model)
    runner.register_hook(Stop())
    with pytest.raises(UserError, match=r'teacher: expected finite outputs, got .*logits.*teacher\.pth'):
        runner.train()


def test_what_is_not_finite_is_named_and_what_the_method_does_not_read_is_not(runner_of):  # noqa: F811
    for method, message in (('at', 'infinite stage 4 of'), ('rkd', 'infinite embedding of'), ('kd', None)):
        runner = runner_of(method, default_hooks__teacher_check__allow_chance=True)
        teacher = runner.model.teacher
        forward = teacher.net.forward

        def broken(*args, forward=forward, **asked):
            output = forward(*args, **asked)
            stages = (*output.stages[:-1], *(x / 0 for x in output.stages[-1:]))
            embedding = None if output.embedding is None else output.embedding / 0
            return output._replace(stages=stages, embedding=embedding)

        teacher.net.forward = broken
        if message is None:
            until_the_first_step(runner)
        else:
            with pytest.raises(UserError, match=message):
                runner.train()


def test_a_teacher_file_of_nan_is_refused_as_it_is_read(runner_of, tiny_teacher, tmp_path):  # noqa: F811
    state = torch.load(tiny_teacher)
    state['head.bias'][0] = -np.inf
    torch.save(state, tmp_path / 'inf.pth')
    with pytest.raises(UserError, match='inf.pth: expected finite weights, got .* in head.bias'):
        runner_of(model__teacher__checkpoint=str(tmp_path / 'inf.pth'))


def test_the_check_draws_no_random_numbers(runner_of, monkeypatch):  # noqa: F811
    """A run is the same, bit for bit, as if nobody had looked."""
    states = []
    for look in (True, False):
        if not look:
            monkeypatch.setattr('hetkd.engine.hooks.teacher_check._check_finite', lambda *args: None)
        until_the_first_step(runner_of('at'))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


# Caches.


@pytest.mark.parametrize('value', [np.nan, -np.inf, 1e6])
@pytest.mark.parametrize('part', ['logits', 'embedding'])
def test_a_cache_takes_and_gives_finite_rows_alone(value, part, tmp_path):
    header = dict(images=4, classes=3, views=1, seed=0, top_k=0, validation=0)
    header |= dict(embedding=True, embedding_channels=2)
    cache = TeacherCache.create(tmp_path, header)
    rows = dict(logits=torch.zeros(4, 3), embedding=torch.zeros(4, 2))
    cache.write('view000', range(4), **rows)
    cache.save_progress('view000', 1)
    rows[part][2, 1] = value
    message = rf'expected finite outputs of the teacher.* in view000\.{part}, row 2 and 0 more of 4'
    with pytest.raises(UserError, match=message):
        cache.write('view000', range(4), **rows)
    file = np.load(tmp_path / f'view000.{part}.npy', mmap_mode='r+')
    assert np.isfinite(file).all(), 'nothing of it was written'
    file[2, 1] = value
    file.flush()
    cache.finish()
    cache.read('view000', [0, 1, 3])
    with pytest.raises(UserError, match=message.replace('of 4', 'of 2')):
        cache.read('view000', [0, 2])


def test_a_cache_of_a_diverged_teacher_is_not_written(config, tmp_path, monkeypatch):  # noqa: F811
    cfg = config('kd')
    build = MODELS.build

    def broken(*args, **kwargs):
        model = build(*args, **kwargs)
        if hasattr(model, 'teachers'):
            model.teachers[0].net.model.head.bias.data[0] = np.nan
        return model

    monkeypatch.setattr(MODELS, 'build', broken)
    with pytest.raises(UserError, match='expected finite outputs of the teacher'):
        write_cache(cfg, str(tmp_path / 'cache'), views=1)
