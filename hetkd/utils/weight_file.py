"""Reading weight files without running code of theirs."""

import hashlib
import os
import os.path as osp
import pickle
import posixpath
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file


def read_file(path: str) -> Any:
    """``torch.load`` of a path or URL with ``weights_only=True``, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is broken, or holds more than weights (pickled code).
    """
    path = osp.expanduser(path)
    if not _is_url(path) and not osp.isfile(path):
        raise FileNotFoundError(
            f'weight file not found: expected a file at {osp.abspath(path)}, got none. Train the net with '
            f'`python tools/train.py CONFIG` (teachers: configs/teachers/), export it with '
            f'`python tools/model_converters/export_student.py CONFIG CHECKPOINT OUT`, and name the '
            f'result, e.g. `--cfg-options model.teacher.checkpoint=PATH`'
        )
    try:
        if _is_url(path):
            path = _download(path)
        if path.endswith('.safetensors'):
            return load_file(path)
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'{path}: expected a file of plain weights, got one that needs to run code or is not a weight '
            f'file, which is refused. If it is a checkpoint of your own run by hetkd 0.1.0, mmengine or '
            f'mmpretrain, rewrite it first: `python tools/model_converters/plain_checkpoint.py {path} OUT`. '
            f'Reason: {_reason(error)}'
        ) from error
    except (RuntimeError, EOFError, SafetensorError) as error:
        raise ValueError(
            f'{path}: expected a weight file, got one that cannot be read (truncated or corrupt?); copy or '
            f'train it again. Reason: {_reason(error)}'
        ) from error


def _download(url: str) -> str:
    """The file of a URL in torch.hub's cache, under a name of its own: many runs have an epoch_100.pth."""
    name = f'{hashlib.sha256(url.encode()).hexdigest()[:16]}-{posixpath.basename(urlsplit(url).path)}'
    path = osp.join(torch.hub.get_dir(), 'checkpoints', name)
    if not osp.exists(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path)
        except OSError as error:  # also HTTPError
            raise FileNotFoundError(f'weight file not found: could not download {url}: {error}') from error
    return path


def _is_url(path: str) -> bool:
    return path.startswith(('http://', 'https://'))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
