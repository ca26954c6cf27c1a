"""Weights of a net in a file, loaded strictly."""

import math
import sys
from collections import Counter
from typing import Any, Callable, NamedTuple, Optional, Sequence

import torch
from mmengine.logging import print_log
from torch import nn

from hetkd.errors import UserError
from hetkd.utils.weight_file import read_file

# A distiller's checkpoint holds the plain student net under this prefix.
STUDENT_PREFIX = 'student.model.'
# Names of a file's state dicts; timm's order: an average before the trained weights.
STATE_DICTS = ('state_dict_ema', 'model_ema', 'state_dict', 'model')
# What DDP and torch.compile put before every name, and what averages count beside the weights.
WRAPPERS, COUNTERS = ('module.', '_orig_mod.'), ('n_averaged', 'steps')
# What other programs put before names.
PREFIXES = (*WRAPPERS, 'model.', 'backbone.', 'student.')
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
SHOWN = 5


class Weights(NamedTuple):
    """A weight file's content."""

    state_dict: dict[str, torch.Tensor]
    meta: dict[str, Any]

    @property
    def classes(self) -> Optional[Sequence[str]]:
        """Class names the net was trained on, if recorded."""
        meta = self.meta.get('dataset_meta')
        meta = meta if isinstance(meta, dict) else {}
        classes = meta.get('classes', meta.get('CLASSES'))
        return classes if isinstance(classes, (list, tuple)) else None

    @property
    def resize(self) -> Optional[str]:
        """The filter that enlarged or shrank the images it was trained on, if recorded."""
        return self.meta.get('resize')


def all_weights(content: Any, path: str) -> Weights:
    """All weights in a file's content: a plain state dict, or one under a name of ``STATE_DICTS``.

    Of several timm's rule takes one, and a log line says which. Prefixes of DDP and ``torch.compile`` are
    removed.

    Raises:
        UserError: there is no state dict.
    """
    state, meta = content, {}
    if isinstance(content, dict):
        meta = content.get('meta')
        found = [name for name in STATE_DICTS if isinstance(content.get(name), dict)]
        state = content[found[0]] if found else content
        if len(found) > 1:
            print_log(f'{path}: takes {found[0]}, of {found}', 'current')
    is_state = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not is_state or not state or not all(map(torch.is_tensor, state.values())):
        raise UserError(
            path,
            f'a state dict (names to tensors), alone or under one of {STATE_DICTS}',
            f'{type(state).__name__} with '
            f'{sorted(map(str, state))[:SHOWN] if isinstance(state, dict) else "no names"}',
        )
    return Weights(_unwrapped(state), meta if isinstance(meta, dict) else {})


def student_of(weights: Weights) -> Weights:
    """The student of a distiller's checkpoint, without connectors; any other weights as they are."""
    student = _under(STUDENT_PREFIX, weights.state_dict)
    return weights._replace(state_dict=student) if student else weights


def read_weights(path: str) -> Weights:
    """The plain net's weights in a path or URL: :func:`student_of` :func:`all_weights`."""
    return student_of(all_weights(read_file(path), path))


def load_strict(model: nn.Module, state_dict: dict, source: str, num_classes: int) -> None:
    """Load weights strictly; see :func:`fitted` for the names.

    Raises:
        UserError: the file's head has another number of classes, keys, shapes or kinds of numbers do not
            fit, or a weight is NaN or infinite.
    """
    load_checked(model.load_state_dict, model, fitted(model, state_dict, source, num_classes), source)


def load_but_head(
    model: nn.Module, state_dict: dict, source: str, num_classes: int, heads: Sequence[str] = ('head',)
) -> None:
    """Load weights to start from; only a head of another number of classes stays random.

    Args:
        heads: names of the head's modules, at any depth.

    Raises:
        UserError: other keys are missing or unexpected, or as :func:`load_strict`.
    """
    own = model.state_dict()

    def is_other_head(key, value):
        fits = key in own and own[key].shape == value.shape
        return _is_of(heads, key) and not fits and value.shape[:1] != (num_classes,)

    state_dict = renamed(model, state_dict, source, () if num_classes else heads)
    rest = {key: value for key, value in state_dict.items() if not is_other_head(key, value)}
    if len(rest) < len(state_dict):
        rest = {key: value for key, value in own.items() if _is_of(heads, key)} | rest
    load_checked(model.load_state_dict, model, rest, source)


def fitted(model: nn.Module, state_dict: dict, source: str, num_classes: int) -> dict[str, torch.Tensor]:
    """A net's weights under the net's own names.

    Raises:
        UserError: another number of classes, or other shapes.
    """
    own = model.state_dict()
    state_dict = renamed(model, state_dict, source)
    shapes = {k: (tuple(own[k].shape), tuple(v.shape)) for k, v in state_dict.items() if k in own}
    for key, (mine, theirs) in shapes.items():
        if mine[:1] == (num_classes,) and mine[1:] == theirs[1:] and mine[:1] != theirs[:1]:
            raise UserError(
                source,
                f'a net of {num_classes} classes',
                f'one of {theirs[0]} ({key} is {theirs})',
                f'name a checkpoint trained on this data set, or set num_classes={theirs[0]}. To begin '
                'from all but its head, name it as pretrained= of the net',
            )
    # Some libraries resize position embeddings as they load; another size is another net here.
    other = [
        f'{key}: {mine}, file {theirs}'
        for key, (mine, theirs) in shapes.items()
        if math.prod(mine) != math.prod(theirs)
    ]
    if other:
        raise _other_net(model, source, f'Shapes differ: {_some(other, "; ")}')
    return state_dict


def renamed(
    model: nn.Module, state_dict: dict, source: str, spare: Sequence[str] = ()
) -> dict[str, torch.Tensor]:
    """Weights without the ``PREFIXES`` that other programs put before the names.

    A prefix is removed where the names are then those of the net, each of them and no other; or where all
    names have it and none of the net's. A part under ``student.`` may stand beside other nets. Names of
    timm's earlier releases are converted by timm. Modules named in ``spare`` are left out where the net has
    none.
    """
    own = model.state_dict().keys()
    candidates = [state_dict]
    for state in candidates:  # grows
        state = _without(spare, own, state if state.keys() == own else _by_timm(model, state, spare))
        if state.keys() == own:
            if len(state) < len(state_dict):
                print_log(f'{source}: takes {len(state)} of {len(state_dict)} tensors', 'current')
            return state
        if len(candidates) < 100:
            without = [{k.removeprefix(x): v for k, v in state.items()} for x in PREFIXES]
            candidates += [x for x in without if len(x) == len(state) and x.keys() != state.keys()]
            student = _under('student.', state)
            candidates += [student] * (0 < len(student) < len(state))
    for prefix in PREFIXES:
        if all(x.startswith(prefix) for x in state_dict) and not any(x.startswith(prefix) for x in own):
            return renamed(model, _under(prefix, state_dict), source, spare)
    return state_dict


def _without(spare: Sequence[str], own, state_dict: dict) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state_dict.items() if key in own or not _is_of(spare, key)}


def _is_of(modules: Sequence[str], key: str) -> bool:
    return any(f'.{module}.' in f'.{key}' for module in modules)


def _by_timm(model: nn.Module, state_dict: dict, spare: Sequence[str]) -> dict[str, torch.Tensor]:
    """The names of today for those of an earlier timm, where no weight has to be resized."""
    convert = getattr(sys.modules[type(model).__module__], 'checkpoint_filter_fn', None)
    try:
        converted = convert(dict(state_dict), model) if convert else {}
    except Exception:  # of another net: any
        return state_dict
    own = model.state_dict().keys()
    converted = _without(spare, own, converted)
    sizes = [Counter(x.numel() for x in state.values()) for state in (converted, state_dict)]
    is_fit = converted.keys() == own and sizes[0] <= sizes[1]
    return converted if is_fit else state_dict


def load_checked(fill: Callable[[dict], Any], model: nn.Module, state_dict: dict, source: str) -> None:
    """Load a state dict, and see that the numbers in it are weights.

    Args:
        fill: loads it strictly.
        model: the net or model that is filled.

    Raises:
        UserError: keys or shapes do not fit, the numbers are of another kind than the model's (integer,
            bool, complex), or NaN or infinite.
    """
    own = model.state_dict()
    unset = {key: ~value.isfinite() for key, value in model.named_buffers()}
    try:
        fill(state_dict)
    except RuntimeError as error:
        lines = [_shortened(line.strip()) for line in str(error).splitlines() if line.strip()]
        raise _other_net(model, source, _some(lines, ' ') + _hint(state_dict, own)) from error
    kinds = {k: (_kind(own[k]) if k in own else 'float', _kind(v)) for k, v in state_dict.items()}
    other = [f'{key}: {mine}, file {theirs}' for key, (mine, theirs) in kinds.items() if mine != theirs]
    if other:
        raise UserError(
            source,
            'weights of the kind of the net',
            f'others, as of a quantised net: {_some(other, "; ")}',
            'name the file before its conversion',
        )
    check_finite(
        {key: value.to(own[key].dtype) if key in own else value for key, value in state_dict.items()},
        source,
        unset,
    )


def check_finite(state_dict: dict, source: str, unset: Optional[dict] = None) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        unset: where the net's buffers are so as built (a mask), and the file's may be.

    Raises:
        UserError: names them.
    """
    bad = [key for key, value in state_dict.items() if not _is_finite(value, (unset or {}).get(key))]
    if bad:
        raise UserError(
            source,
            'finite weights',
            f'NaN or infinite ones in {_some(bad, ", ")}',
            'the run that wrote it has diverged: name an earlier checkpoint',
        )


def _is_finite(value: torch.Tensor, unset: Optional[torch.Tensor]) -> bool:
    finite = value.isfinite()
    if unset is not None and unset.shape == finite.shape:
        finite = finite | unset.to(finite.device)
    return bool(finite.all())


def _kind(value: torch.Tensor) -> str:
    if value.is_floating_point():
        return 'float'
    return 'integer' if value.dtype in INTEGERS else str(value.dtype).removeprefix('torch.')


def _unwrapped(state_dict: dict) -> dict[str, torch.Tensor]:
    """Without the prefixes of DDP and ``torch.compile``, and what an average counts."""
    while True:
        weights = {key: value for key, value in state_dict.items() if key not in COUNTERS}
        prefix = next((x for x in WRAPPERS if weights and all(key.startswith(x) for key in weights)), None)
        if prefix is None:
            return dict(state_dict)
        state_dict = _under(prefix, weights)


def _under(prefix: str, state_dict: dict) -> dict[str, torch.Tensor]:
    return {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}


def _other_net(model: nn.Module, source: str, reason: str) -> UserError:
    return UserError(
        source,
        f'the weights of {type(model).__name__} exactly as configured',
        'others',
        f'check the architecture, image size and patch size. {reason}',
    )


def _hint(state_dict: dict, own: dict) -> str:
    """The prefix without which most of the names would be the net's."""
    fits = {
        prefix: sum(key.startswith(prefix) and key.removeprefix(prefix) in own for key in state_dict)
        for prefix in {key[: i + 1] for key in state_dict for i, x in enumerate(key) if x == '.'}
    }
    best = max(fits, key=fits.get, default='')
    if fits.get(best, 0) <= sum(key in own for key in state_dict):
        return ''
    return (
        f' Without the prefix {best!r}, {fits[best]} of its {len(state_dict)} names are among the '
        f'{len(own)} of the net; save that part alone'
    )


def _shortened(line: str) -> str:
    """A line of torch's error with its first names and their count."""
    names = line.split(', ')
    is_list = 'key' in line.partition(': ')[0] and len(names) > SHOWN
    return f'{_some(names, ", ")} ({len(names)} in all).' if is_list else line


def _some(texts: Sequence[str], joint: str) -> str:
    more = len(texts) - SHOWN
    return joint.join(texts[:SHOWN]) + (f'{joint}... and {more} more' if more > 0 else '')
