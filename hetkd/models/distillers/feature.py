"""Distillation on features."""

from typing import Optional, Sequence

from hetkd.registry import MODELS

from .base import BaseDistiller, build_losses


@MODELS.register_module()
class FeatureDistiller(BaseDistiller):
    """The label loss, any feature losses and any logit losses.

    A feature loss names what it reads in ``needs`` (of ``'stages'``, ``'embedding'``) and is called as
    ``loss(student, teacher, target)`` with :class:`~hetkd.models.nets.NetOutput`. Where one needs stages,
    the matcher has brought the student's to the teacher's shapes, whatever the two families are.

    Args:
        losses: configs of registered feature losses.
        logit_losses: configs of registered logit losses, as in :class:`LogitDistiller`.
        matcher: config of the connector.
        **kwargs: see :class:`BaseDistiller`.
    """

    def __init__(
        self,
        losses: Sequence[dict],
        logit_losses: Sequence[dict] = (),
        matcher: Optional[dict] = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.losses = build_losses(losses)
        self.logit_losses = build_losses(logit_losses)
        needs = {need for loss in self.losses.values() for need in getattr(loss, 'needs', ('stages',))}
        self.teacher_needs = self.student_needs = tuple(sorted(needs))
        self.matcher = None
        if 'stages' in needs:
            theirs = self.teacher.feature_specs.stages
            self.matcher = MODELS.build(
                matcher or dict(type='StageMatcher'),
                default_args=dict(
                    student_channels=[x.channels for x in self.student.feature_specs.stages],
                    teacher_channels=[x.channels for x in theirs],
                    teacher_sizes=[x.size for x in theirs],
                ),
            )

    def distill(self, student, teacher, target):
        """Each loss on its part."""
        losses = {
            key: loss(student.logits, teacher.logits, target) for key, loss in self.logit_losses.items()
        }
        if self.matcher is not None:
            student = student._replace(stages=self.matcher(student.stages))
            teacher = teacher._replace(stages=teacher.stages[-len(student.stages) :])
        for key, loss in self.losses.items():
            losses[key] = loss(student, teacher, target)
        return losses
