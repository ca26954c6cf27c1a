"""Reading weight files without running code of theirs."""

import hashlib
import os
import os.path as osp
import pickle
import posixpath
import re
import zipfile
from typing import Any, Optional
from urllib.parse import urlsplit

import torch
from safetensors.torch import load_file

from hetkd.errors import UserError

from .digest import file_digest

# torch does not compress: a file that unfolds to more than this many times its size is none of its own.
UNFOLDS = 4


def read_file(path: str) -> Any:
    """``torch.load`` of a path or URL with ``weights_only=True``, on the CPU.

    Args:
        path: of a file, or its address; ``#sha256=DIGEST`` behind it admits a file of that digest only.

    Raises:
        UserError: no such file, another digest, a broken file, one that holds more than tensors and plain
            values (pickled code), or one that unfolds to more than 4 times its size.
    """
    path, _, digest = path.partition('#sha256=')
    path = osp.expanduser(path)
    if not _is_url(path) and not osp.isfile(path):
        raise UserError(
            'weight file',
            f'a file at {osp.abspath(path)}',
            'none',
            "check the path. A run's checkpoints are in its work dir. A teacher: train it with `python "
            'tools/train.py CONFIG` (configs/teachers/), export it with `python '
            'tools/model_converters/export_student.py CONFIG CHECKPOINT --out OUT`, and name the result, '
            'e.g. `--cfg-options model.teacher.checkpoint=PATH`',
        )
    if _is_url(path):
        path = _download(path)
    if digest and file_digest(path) != digest.lower():
        raise UserError(path, f'a file of sha256 {digest}', file_digest(path), 'copy or download it again')
    try:
        if path.endswith('.safetensors'):
            return load_file(path)
        _check_size(path)
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            path,
            'a file of plain weights',
            f'one that is not, which is refused: {_reason(error)}',
            'if it is a checkpoint of your own run by mmengine or mmpretrain, rewrite it first: '
            f'`python tools/model_converters/plain_checkpoint.py {path} --out OUT`',
        ) from error
    except UserError:
        raise
    except Exception as error:  # damage may look like anything to torch
        raise UserError(
            path,
            'a weight file',
            f'one that cannot be read, truncated or corrupt ({_reason(error)})',
            'copy or train it again',
        ) from error


def named_digest(name: str) -> Optional[str]:
    """SHA-256 of the file that :func:`read_file` would read, without a download.

    Returns:
        None where it is not here and its name does not say it.
    """
    path, _, digest = name.partition('#sha256=')
    path = _cached(path) if _is_url(path) else osp.expanduser(path)
    return digest.lower() or (file_digest(path) if osp.isfile(path) else None)


def _check_size(path: str) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        whole = sum(x.file_size for x in file.infolist())
    size = osp.getsize(path)
    if whole > UNFOLDS * size + 2**20:
        raise UserError(
            path,
            f'a file that unfolds to at most {UNFOLDS} times its size',
            f'{whole / 2**20:.0f} MiB from {size / 2**20:.1f} MiB',
            'if it is your own, write it again with torch.save, which does not compress',
        )


def _download(url: str) -> str:
    """The file of a URL, loaded if need be."""
    path = _cached(url)
    if not osp.exists(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path)
        except OSError as error:  # also HTTPError
            fix = f'check the address and the network, or put the file at {path}'
            raise UserError('weight file', f'to download {url}', error, fix) from error
    return path


def _cached(url: str) -> str:
    """The place of a URL's file in torch.hub's cache, by the whole URL: many runs have an epoch_100.pth."""
    name = f'{hashlib.sha256(url.encode()).hexdigest()[:16]}-{posixpath.basename(urlsplit(url).path)}'
    return osp.join(torch.hub.get_dir(), 'checkpoints', name)


def _is_url(path: str) -> bool:
    return path.startswith(('http://', 'https://'))


def _reason(error: Exception) -> str:
    """What is wrong with a file, without torch's advice to read it all the same."""
    text = str(error)
    refused = re.search(r'GLOBAL (\S+)|(?:class|function)\s+(\S+?\.\S+)', text)
    if refused:
        return f'it would run {refused[1] or refused[2]}'
    if isinstance(error, pickle.UnpicklingError):
        return 'it is no file of torch.save'
    return next((x.strip() for x in text.splitlines() if x.strip()), type(error).__name__)
