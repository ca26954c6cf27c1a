"""Distillation on logits."""

from typing import Sequence

from hetkd.errors import UserError
from hetkd.registry import MODELS

from .base import BaseDistiller, build_losses, check_losses


@MODELS.register_module()
class LogitDistiller(BaseDistiller):
    """The label loss plus any logit losses.

    Args:
        losses: configs of registered losses, each called as ``loss(student_logits, teacher_logits, target)``
            with logits (N, C); target holds class indices (N,) or probabilities (N, C).
        **kwargs: see :class:`BaseDistiller`.

    Raises:
        UserError: a loss on something else.
    """

    teacher_needs = ()  # until the losses are there, which the message names

    def __init__(self, losses: Sequence[dict] = (dict(type='KDLoss'),), **kwargs):
        check_losses(losses)
        super().__init__(**kwargs)
        self.losses = build_losses(losses)
        for loss in self.losses.values():
            if getattr(loss, 'needs', ()):
                raise UserError(
                    'model.losses',
                    'losses on logits',
                    f'{type(loss).__name__}, which reads {", ".join(loss.needs)}',
                    "set model.type='FeatureDistiller', which takes losses on logits as logit_losses",
                )
        self.teacher_needs = ('logits',)
        self.check_heads(self.losses.values())

    def distill(self, student, teacher, target):
        """Each loss on the logits."""
        return {key: loss(student.logits, teacher.logits, target) for key, loss in self.losses.items()}
