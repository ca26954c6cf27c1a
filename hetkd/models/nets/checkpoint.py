"""Reading weight files: without running their code, strictly, with errors that say what to do."""

import hashlib
import math
import os
import os.path as osp
import pickle
import posixpath
from typing import Any, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

# A distiller's checkpoint holds the plain student net under this prefix.
STUDENT_PREFIX = 'student.model.'


class Weights(NamedTuple):
    """A weight file's content."""

    state_dict: dict[str, torch.Tensor]
    meta: dict[str, Any]

    @property
    def classes(self) -> Optional[Sequence[str]]:
        """Class names the net was trained on, if recorded."""
        meta = self.meta.get('dataset_meta') or {}
        return meta.get('classes', meta.get('CLASSES'))


def read_file(path: str) -> Any:
    """``torch.load`` of a path or URL with ``weights_only=True``, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is broken, or holds more than weights (pickled code).
    """
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
            f'file, which is refused. If it is a checkpoint of your own training run, export it '
            f'first: `python tools/model_converters/export_student.py CONFIG {path} OUT`. Reason: '
            f'{_reason(error)}'
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


def split_weights(content: Any, path: str) -> Weights:
    """The plain net's weights in a file's content.

    Takes a plain state dict, one under ``state_dict`` or ``model``, and a distiller's checkpoint, whose
    student is taken and whose connectors are dropped.
    """
    meta = {}
    if isinstance(content, dict):
        meta = content.get('meta') or {}
        for key in ('state_dict', 'model'):
            if isinstance(content.get(key), dict):
                content = content[key]
                break
    if not isinstance(content, dict) or not all(torch.is_tensor(x) for x in content.values()):
        raise ValueError(
            f'{path}: expected a state dict (names to tensors), alone or under "state_dict" or "model", '
            f'got {type(content).__name__} with '
            f'{sorted(map(str, content))[:5] if isinstance(content, dict) else "no names"}'
        )
    student = {
        key[len(STUDENT_PREFIX) :]: value for key, value in content.items() if key.startswith(STUDENT_PREFIX)
    }
    return Weights(student or dict(content), meta)


def read_weights(path: str) -> Weights:
    """The plain net's weights in a file; see :func:`read_file` and :func:`split_weights`."""
    return split_weights(read_file(path), path)


def load_strict(model: nn.Module, state_dict: dict, source: str, num_classes: int) -> None:
    """Load weights strictly.

    Raises:
        ValueError: the file's head has another number of classes, or keys or shapes do not fit; lists
            the missing and unexpected keys.
    """
    own = model.state_dict()
    shapes = {k: (tuple(own[k].shape), tuple(v.shape)) for k, v in state_dict.items() if k in own}
    for key, (mine, theirs) in shapes.items():
        if mine[:1] == (num_classes,) and mine[1:] == theirs[1:] and mine[:1] != theirs[:1]:
            raise ValueError(
                f'{source}: expected a net of {num_classes} classes, got one of {theirs[0]} ({key} is '
                f'{theirs}); name a checkpoint trained on this data set, or set num_classes={theirs[0]}'
            )
    # Some libraries resize position embeddings as they load; another size is another net here.
    other = [
        f'{key}: {mine}, file {theirs}'
        for key, (mine, theirs) in shapes.items()
        if math.prod(mine) != math.prod(theirs)
    ]
    try:
        if other:
            raise RuntimeError(f'Shapes differ: {"; ".join(other[:5])}')
        model.load_state_dict(state_dict, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f'{source}: expected the weights of {type(model).__name__} exactly as configured, got others; '
            f'check the architecture, image size and patch size. {error}'
        ) from error


def load_but_head(model: nn.Module, state_dict: dict, source: str, num_classes: int) -> None:
    """Load weights to start from; only a head of another number of classes stays random.

    Raises:
        ValueError: other keys are missing or unexpected.
    """
    own = model.state_dict()

    def is_other_head(key, value):
        fits = key in own and own[key].shape == value.shape
        return 'head' in key.split('.') and not fits and value.shape[:1] != (num_classes,)

    rest = {key: value for key, value in state_dict.items() if not is_other_head(key, value)}
    try:
        missing, unexpected = model.load_state_dict(rest, strict=False)
    except RuntimeError as error:
        raise ValueError(f'{source}: expected weights of {type(model).__name__}. {error}') from error
    missing = [key for key in missing if len(rest) == len(state_dict) or 'head' not in key.split('.')]
    if missing or unexpected:
        raise ValueError(
            f'{source}: expected weights of {type(model).__name__}, got others: missing {missing[:5]}, '
            f'unexpected {unexpected[:5]}'
        )
