"""Distillation on logits."""

from typing import Sequence

from hetkd.registry import MODELS

from .base import BaseDistiller
from .losses import build_logit_losses, check_losses


@MODELS.register_module()
class LogitDistiller(BaseDistiller):
    """The label loss plus any logit losses.

    Args:
        losses: configs of registered losses, each called as ``loss(student_logits, teacher_logits, target)``
            with logits (N, C); target holds class indices (N,) or probabilities (N, C).
        **kwargs: see :class:`BaseDistiller`.

    Raises:
        UserError: a loss on something else, or that cannot be called so.
    """

    teacher_needs = ()  # until the losses are there, which the message names

    def __init__(self, losses: Sequence[dict] = (dict(type='KDLoss'),), **kwargs):
        check_losses(losses)
        super().__init__(**kwargs)
        self.losses = build_logit_losses(losses)
        self.teacher_needs = ('logits',)
        self.check_heads(self.losses.values())

    def distill(self, student, teacher, target):
        """Each loss on the logits."""
        return {key: loss(student.logits, teacher.logits, target) for key, loss in self.losses.items()}
