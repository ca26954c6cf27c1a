"""Weights of a net in a file, loaded strictly."""

import math
from typing import Any, NamedTuple, Optional, Sequence

import torch
from torch import nn

from hetkd.utils.weight_file import read_file

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
    """The plain net's weights in a path or URL; see :func:`split_weights`."""
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
