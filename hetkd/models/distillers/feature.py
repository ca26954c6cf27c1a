"""Distillation on features."""

from typing import Optional, Sequence

from hetkd.registry import MODELS

from .base import BaseDistiller, build_losses


@MODELS.register_module()
class FeatureDistiller(BaseDistiller):
    """The label loss, any feature losses and any logit losses.

    A feature loss names what it reads in ``needs`` (of ``'stages'``, ``'embedding'``) and is called as
    ``loss(student, teacher, target)`` with :class:`~hetkd.models.nets.NetOutput`. Where one needs stages, it
    sees pairs of them: the nets' stages are paired from the deepest (a net with more keeps its shallowest
    out), and the matcher has brought the student's to the teacher's shapes, whatever the two families are.

    Args:
        losses: configs of registered feature losses.
        logit_losses: configs of registered logit losses, as in :class:`LogitDistiller`.
        stages: which pairs to match, as indices from the shallowest (or negative, from the deepest).
            Default: all.
        matcher: config of the connector; default ``dict(type='StageMatcher')``.
        **kwargs: see :class:`BaseDistiller`.
    """

    def __init__(
        self,
        losses: Sequence[dict],
        logit_losses: Sequence[dict] = (),
        stages: Optional[Sequence[int]] = None,
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
            self._indices = stages
            mine, theirs = self._pair(self.student.feature_specs.stages, self.teacher.feature_specs.stages)
            self.matcher = MODELS.build(
                matcher or dict(type='StageMatcher'),
                default_args=dict(
                    student_channels=[x.channels for x in mine],
                    teacher_channels=[x.channels for x in theirs],
                ),
            )

    def _pair(self, mine: Sequence, theirs: Sequence) -> tuple[tuple, tuple]:
        """The chosen stages of both nets, pair by pair."""
        count = min(len(mine), len(theirs))
        mine, theirs = mine[-count:], theirs[-count:]
        indices = range(count) if self._indices is None else self._indices
        if not all(-count <= i < count for i in indices):
            raise ValueError(
                f'stages: expected indices of {count} stage pairs ({-count} to {count - 1}), got '
                f'{list(indices)}'
            )
        return tuple(mine[i] for i in indices), tuple(theirs[i] for i in indices)

    def distill(self, student, teacher, target):
        """Each loss on its part."""
        losses = {
            key: loss(student.logits, teacher.logits, target) for key, loss in self.logit_losses.items()
        }
        if self.matcher is not None:
            mine, theirs = self._pair(student.stages, teacher.stages)
            student = student._replace(stages=self.matcher(mine, theirs))
            teacher = teacher._replace(stages=theirs)
        for key, loss in self.losses.items():
            losses[key] = loss(student, teacher, target)
        return losses
