"""The losses of a distiller, built from their configs; a loss of another kind is refused."""

import inspect

from torch import nn

from hetkd.errors import UserError
from hetkd.registry import MODELS


def check_losses(*configs) -> None:
    """Refuse a method without a loss."""
    if not any(configs):
        raise UserError(
            'model.losses',
            'at least one loss',
            'none: nothing would be distilled',
            'name one, or train the student alone with --method scratch',
        )


def build_logit_losses(configs: list[dict], key: str = 'losses') -> nn.ModuleDict:
    """Losses called as ``loss(student_logits, teacher_logits, target)``.

    Args:
        configs: of registered losses.
        key: of the model's config that they stand in.

    Raises:
        UserError: a loss on something else.
    """
    losses = _built(configs)
    for loss in losses.values():
        if getattr(loss, 'needs', ()):
            raise UserError(
                f'model.{key}',
                'losses on logits',
                f'{type(loss).__name__}, which reads {", ".join(loss.needs)}',
                "in model.type='FeatureDistiller' it stands in model.losses, and losses on logits in "
                'model.logit_losses',
            )
        _check_call(loss, key, 'student_logits, teacher_logits, target')
    return losses


def build_feature_losses(configs: list[dict], readable: set[str]) -> nn.ModuleDict:
    """Losses called as ``loss(student, teacher, target)`` on the nets' outputs.

    Args:
        configs: of registered losses.
        readable: what they may name in ``needs``.

    Raises:
        UserError: a loss that does not say what it reads, or reads something else.
    """
    losses = _built(configs)
    for loss in losses.values():
        name = type(loss).__name__
        wanted = getattr(loss, 'needs', None)
        if wanted is None:
            raise UserError(
                'model.losses',
                'losses that name what they read in needs',
                f'{name}, which names nothing',
                'a loss on logits stands in model.logit_losses',
            )
        if isinstance(wanted, str) or set(wanted) - readable:
            raise UserError(f'{name}.needs', f'a tuple of some of {sorted(readable)}', repr(wanted))
        _check_call(loss, 'losses', 'student, teacher, target', **dict.fromkeys({'index'} & set(wanted)))
    return losses


def _check_call(loss: nn.Module, key: str, arguments: str, **more) -> None:
    """Refuse a loss that cannot be called so, or takes the target for weights, as OpenMMLab's losses do."""
    signature = inspect.signature(loss.forward)
    try:
        fits = list(signature.bind(None, None, None, **more).arguments)[2] != 'weight'
    except TypeError:
        fits = False
    if not fits:
        raise UserError(
            f'model.{key}',
            f'losses that are called as loss({", ".join([arguments, *(f"{x}=" for x in more)])})',
            f'{type(loss).__name__}.forward{signature}',
            'a loss on labels is model.label_loss; one of your own: docs/en/add_a_loss.md',
        )


def _built(configs: list[dict]) -> nn.ModuleDict:
    """Losses by their log key: ``KDLoss`` logs as ``loss_kd``, a second one as ``loss_kd_2``."""
    losses = nn.ModuleDict()
    for config in configs:
        loss = MODELS.build(config)
        name = key = 'loss_' + type(loss).__name__.removesuffix('Loss').lower()
        count = 1
        while key in losses:
            count += 1
            key = f'{name}_{count}'
        losses[key] = loss
    return losses
