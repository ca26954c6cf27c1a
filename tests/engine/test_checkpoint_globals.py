"""Checkpoints of our own runs are read without running their code."""

import pickle
import subprocess
import sys
import zipfile

import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch._utils import _rebuild_parameter

from hetkd.engine import own_checkpoint
from tests.conftest import ROOT


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


def test_getattr_of_a_file_does_not_lead_to_code(tmp_path):
    """With the real ``getattr`` this file would call exec."""
    marker = tmp_path / 'ran'
    run = Call(getattr, (Call(getattr, (getattr, '__self__')), 'exec'))
    names = Call(getattr, (_rebuild_parameter, '__globals__'), None, None, iter([('torch', history(nn=run))]))
    fire = Call(_rebuild_parameter, (f'open({str(marker)!r}, "w").write("x")', {}, None))
    path = tmp_path / 'evil.pth'
    write(path, {'a': names, 'state_dict': fire})
    with own_checkpoint(), pytest.raises(Exception, match='refused'):
        torch.load(path, weights_only=True)
    assert not marker.exists()


def test_a_method_that_no_run_saves_is_refused(tmp_path):
    write(tmp_path / 'x.pth', {'a': Call(getattr, (HistoryBuffer, '__init__'))})
    with own_checkpoint(), pytest.raises(Exception, match='refused'):
        torch.load(tmp_path / 'x.pth', weights_only=True)


FORGED = dict(__array_interface__=dict(shape=(4,), typestr='<u8', data=(0x41414141, False), version=3))


@pytest.mark.parametrize(
    'content',
    [
        Call(HistoryBuffer, ([history(**FORGED)], [0])),  # numpy would read the address
        Call(HistoryBuffer, ([1.0], [1.0])),
        history(**FORGED),
        history(max_length=1, _log_history=[1.0], _count_history=[1.0]),
    ],
)
def test_a_log_history_of_anything_but_arrays_is_refused(content, tmp_path):
    """In a process of its own: what is not refused here may crash it."""
    write(tmp_path / 'x.pth', {'a': content})
    code = (
        'import torch; from hetkd.engine import own_checkpoint\n'
        f'with own_checkpoint(): torch.load({str(tmp_path / "x.pth")!r}, weights_only=True)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and 'refused' in done.stderr


@pytest.mark.parametrize('scheduler', ['OneCycleLR', 'CosineAnnealingLR', 'ReduceOnPlateauLR'])
def test_what_a_run_saves_is_read(scheduler, tmp_path):
    import mmengine.optim as optim

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    options = dict(OneCycleLR=dict(eta_max=1.0, total_steps=9), CosineAnnealingLR=dict(T_max=9))
    state = getattr(optim, scheduler)(optimizer, **options.get(scheduler, {})).state_dict()
    log = HistoryBuffer()
    log.update(1.0)
    torch.save(dict(param_schedulers=[state], message_hub=dict(log_scalars=log)), tmp_path / 'x.pth')
    with own_checkpoint():
        content = torch.load(tmp_path / 'x.pth', weights_only=True)
    assert content['param_schedulers'][0].keys() == state.keys()
    history = content['message_hub']['log_scalars']
    assert type(history) is HistoryBuffer, 'the run saves it again'
    history.update(3.0)
    assert history.current() == 3.0 and history.mean() == 2.0
    torch.save(content, tmp_path / 'again.pth')
    with own_checkpoint():
        torch.load(tmp_path / 'again.pth', weights_only=True)
