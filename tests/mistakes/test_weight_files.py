"""Files of weights from outside: none runs code, unfolds without end, or ends in a riddle."""

import builtins
import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from hetkd.errors import UserError
from hetkd.utils.weight_file import read_file


class Runs:
    def __reduce__(self):
        return builtins.print, ('ran',)


def pickled(content) -> bytes:
    """A file of torch.save whose pickle is not torch's."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as file:
        file.writestr('archive/data.pkl', pickle.dumps(content, protocol=2))
        file.writestr('archive/version', '3\n')
    return out.getvalue()


class ObjectArray:
    """An array that the file itself constructs from bytes as if they were pointers."""

    def __reduce__(self):
        return np.ndarray, ((2,), np.dtype(object), b'\1' * 16)


FILES = {
    'plain pickle': (pickle.dumps(Runs()), 'would run builtins.print|no file of torch.save'),
    'torch pickle': (pickled({'state_dict': Runs()}), 'which is refused: it would run .*print'),
    'array': (pickled({'state_dict': ObjectArray()}), 'which is refused: it would run numpy'),
    'history': (pickled({'meta': HistoryBuffer()}), 'which is refused: it would run .*HistoryBuffer'),
    'empty': (b'', 'weight file|plain weights'),
    'text': (b'no weights at all', 'which is refused|cannot be read'),
    'half': (b'PK\3\4' + b'\0' * 40, 'cannot be read|which is refused'),
}


@pytest.mark.parametrize('case', FILES)
def test_a_file_that_is_no_weights_is_refused(case, tmp_path, capfd):
    content, words = FILES[case]
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as info:
        read_file(str(path))
    assert 'weights_only' not in str(info.value), "torch's advice to read it all the same"
    assert 'ran' not in capfd.readouterr().out


def test_a_file_that_unfolds_is_refused_at_the_stated_limit(tmp_path):
    torch.save({'x': torch.zeros(2**20)}, tmp_path / 'plain.pth')
    with zipfile.ZipFile(tmp_path / 'plain.pth') as plain, zipfile.ZipFile(tmp_path / 'x.pth', 'w') as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r'unfolds to at most 4 times its size, got 4 MiB from 0.0 MiB'):
        read_file(str(tmp_path / 'x.pth'))
    assert read_file(str(tmp_path / 'plain.pth'))['x'].numel() == 2**20


def test_a_digest_admits_one_file(tmp_path):
    torch.save({'x': torch.ones(3)}, tmp_path / 'x.pth')
    digest = hashlib.sha256((tmp_path / 'x.pth').read_bytes()).hexdigest()
    assert read_file(f'{tmp_path}/x.pth#sha256={digest}')['x'].sum() == 3
    with pytest.raises(UserError, match=f'expected a file of sha256 {"0" * 64}, got {digest}'):
        read_file(f'{tmp_path}/x.pth#sha256={"0" * 64}')
