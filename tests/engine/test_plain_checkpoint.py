"""Checkpoints hold plain values, and none is read otherwise."""

import pickle
import zipfile
from types import SimpleNamespace

import mmengine.optim as optim
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader
from torch._utils import _rebuild_parameter

from hetkd.engine.message_hub import DeferredMessageHub
from hetkd.engine.plain_values import plain
from hetkd.errors import UserError
from hetkd.utils.weight_file import read_file
from tests.conftest import tool_runner


def reread(content, path):
    torch.save(content, path)
    return torch.load(path, weights_only=True)


SCHEDULERS = dict(
    OneCycleLR=dict(eta_max=1.0, total_steps=9),
    CosineAnnealingLR=dict(T_max=9),
    ReduceOnPlateauLR=dict(monitor='loss', patience=1),
)


@pytest.mark.parametrize('name', SCHEDULERS)
def test_a_scheduler_goes_on_from_its_plain_state(name, tmp_path):
    def build():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        return optimizer, getattr(optim, name)(optimizer, **SCHEDULERS[name])

    (first, scheduler), (second, resumed) = build(), build()
    for step in range(8):
        if step == 3:
            second.load_state_dict(first.state_dict())
            resumed.load_state_dict(reread(plain(scheduler.state_dict()), tmp_path / 'x.pth'))
        for each in (scheduler, resumed) if step >= 3 else (scheduler,):
            each.step({'loss': 1.0}) if name == 'ReduceOnPlateauLR' else each.step()
    assert second.param_groups[0]['lr'] == first.param_groups[0]['lr'] != 0.1


def test_numpy_is_made_plain_and_a_state_dict_is_left_as_it_is(tmp_path):
    state = torch.nn.BatchNorm1d(2).state_dict()
    content = dict(
        state_dict=state,
        meta={np.str_('a'): (np.float64(1.5), [np.int64(2)]), 'b': np.arange(3), 'c': {np.int64(4): None}},
        empty={},
    )
    found = plain(content)
    assert found['state_dict'] is state, 'with the versions of its modules'
    assert reread(found, tmp_path / 'x.pth')['meta'] == {'a': (1.5, [2]), 'b': [0, 1, 2], 'c': {4: None}}
    assert type(found['meta']['a'][0]) is float and found['empty'] == {}


def test_what_cannot_be_plain_is_left_out_and_named(monkeypatch):
    said = []
    monkeypatch.setattr('hetkd.engine.plain_values.print_log', lambda text, *_: said.append(text))
    assert plain(dict(a=1, own=SimpleNamespace(), function=len)) == dict(a=1)
    assert len(said) == 1 and 'got own of SimpleNamespace' in said[0]
    of_lists = dict(own=[1, (SimpleNamespace(),)], functions=[len], numbers=[1, (2,), dict(a=3, f=len)])
    assert plain(of_lists) == dict(numbers=[1, (2,), dict(a=3)])
    assert len(said) == 2 and 'got own of SimpleNamespace' in said[1]


def test_histories_come_back(tmp_path):
    hub, resumed = DeferredMessageHub('first'), DeferredMessageHub('second')
    for value in (1.0, 3.0):
        hub.update_scalar('train/loss', torch.tensor(value), count=2)
        hub.update_info('eta', np.float64(value))
    resumed.load_state_dict(reread(plain(hub.state_dict()), tmp_path / 'x.pth'))
    history = resumed.get_scalar('train/loss')
    assert type(history) is HistoryBuffer and history.mean() == 1.0 and resumed.get_info('eta') == 3.0
    history.update(5.0)
    assert history.data[0].tolist() == [1, 3, 5] and history.data[1].tolist() == [2, 2, 1]


class Late(Hook):
    """The last of the user's hooks, whose values are numpy's."""

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['mine'] = np.float64(runner.iter)


def test_a_run_saves_plain_values_and_resumes(runner_of, tmp_path):
    options = dict(
        custom_hooks=[dict(type=Late)],
        default_hooks__checkpoint__interval=1,
        param_scheduler=[dict(type='OneCycleLR', eta_max=0.01, total_steps=4, by_epoch=False)],
    )
    first = runner_of(**options)
    first.train()
    for path in tmp_path.glob('*.pth'):
        content = torch.load(path, weights_only=True)
        assert content['meta']['epoch'] and content['mine'], path
    resumed = runner_of(resume=True, load_from=str(tmp_path / 'epoch_1.pth'), **options)
    resumed.train()
    one, other = (x.message_hub.get_scalar('train/lr').data[0].tolist() for x in (first, resumed))
    assert one == other and len(one) == 4


@pytest.mark.parametrize('interval', [1, 2, 10])
def test_a_run_that_stops_early_saves_its_last_weights(interval, runner_of, tmp_path):
    stop = dict(type='EarlyStoppingHook', monitor='accuracy/top1', min_delta=100.0, patience=2)
    options = {
        'default_hooks.checkpoint': dict(type='CheckpointHook', interval=interval, save_best=None),
        'train_cfg': dict(by_epoch=True, max_epochs=20, val_interval=1),
        'train_dataloader.dataset.per_class': 10,
        'val_dataloader.dataset.per_class': 5,
        'custom_hooks': [stop],
    }
    runner = runner_of(**options)
    runner.train()
    assert runner.epoch == 3
    last = torch.load(tmp_path / 'epoch_3.pth', weights_only=True)
    assert (last['meta']['epoch'], last['meta']['iter']) == (3, runner.iter)
    weights = runner.model.state_dict()
    assert all(torch.equal(x, last['state_dict'][name]) for name, x in weights.items())
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_3.pth'
    resumed = runner_of(resume=True, **options)
    resumed.train()
    assert resumed.epoch == 3


class Call:
    """Pickles to a call, or to what ``__reduce__`` may give besides."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def write(path, content):
    """A torch file with this pickle in it."""
    torch.save({'x': torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as whole:
        for name, data in files.items():
            whole.writestr(name, pickle.dumps(content, protocol=2) if name.endswith('data.pkl') else data)


def history(**state):
    buffer = HistoryBuffer.__new__(HistoryBuffer)
    buffer.__dict__.update(state)
    return buffer


FORGED = dict(__array_interface__=dict(shape=(4,), typestr='<u8', data=(0x41414141, False), version=3))
RUN = Call(getattr, (Call(getattr, (getattr, '__self__')), 'exec'))


@pytest.mark.parametrize(
    'content',
    [
        lambda marker: Call(open, (marker, 'w')),
        lambda marker: [
            Call(
                getattr, (_rebuild_parameter, '__globals__'), None, None, iter([('torch', history(nn=RUN))])
            ),
            Call(_rebuild_parameter, (f'open({marker!r}, "w").write("x")', {}, None)),
        ],
        lambda marker: Call(getattr, (HistoryBuffer, '__init__')),
        lambda marker: Call(HistoryBuffer, ([history(**FORGED)], [0])),  # numpy would read the address
        lambda marker: history(**FORGED),
        lambda marker: np.array([history()], dtype=object),
    ],
)
def test_no_code_of_a_file_runs(content, tmp_path, monkeypatch):
    """Not in mmengine's loading either, whatever the environment asks of torch."""
    marker, path = tmp_path / 'ran', tmp_path / 'evil.pth'
    write(path, {'state_dict': content(str(marker))})
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file', lambda url, to: write(to, {'state_dict': content(str(marker))})
    )
    for name in (str(path), 'https://example.org/evil.pth', 'http://example.org/evil.pth'):
        for read in (read_file, CheckpointLoader.load_checkpoint):
            with pytest.raises(UserError, match='which is refused'):
                read(name)
    assert not marker.exists()


def test_a_config_within_a_file_is_no_program(tmp_path):
    """mmengine runs the text of ``meta['config']`` when it resumes."""
    torch.save(dict(meta=dict(config='raise SystemExit', epoch=1), state_dict={}), tmp_path / 'x.pth')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))['meta'] == dict(epoch=1)


def test_a_checkpoint_of_the_first_release_is_refused_with_the_command_that_converts_it(runner_of, tmp_path):
    """It held mmengine's log histories and the methods of a scheduler."""
    options = dict(default_hooks__checkpoint__interval=1)
    runner_of(**options).train()
    path = tmp_path / 'epoch_1.pth'
    content = torch.load(path, weights_only=True)
    hub, scheduler = MessageHub('old'), content['param_schedulers'][0]
    for value in content['message_hub']['log_scalars']['train/loss']['values'].tolist():
        hub.update_scalar('train/loss', value)
    content['message_hub'] = hub.state_dict()
    scheduler['anneal_func'] = optim.OneCycleLR._annealing_cos
    torch.save(content, path)
    resume = dict(resume=True, load_from=str(path), **options)
    with pytest.raises(UserError, match=f'refused.*plain_checkpoint.py {path} --out OUT'):
        runner_of(**resume).train()
    tool_runner('model_converters/plain_checkpoint.py', path, path)
    runner = runner_of(**resume)
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 4 and runner.epoch == 2
