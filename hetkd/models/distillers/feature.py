"""Distillation on features."""

from typing import Optional, Sequence

from hetkd.errors import UserError
from hetkd.registry import MODELS

from .base import BaseDistiller
from .losses import build_feature_losses, build_logit_losses, check_losses
from .part import build_part

# What a loss can read.
NEEDS = {'stages', 'embedding', 'mean', 'class_map', 'logits', 'target', 'index'}


@MODELS.register_module()
class FeatureDistiller(BaseDistiller):
    """The label loss, any feature losses and any logit losses.

    A feature loss names what it reads in ``needs`` (of ``'stages'``, ``'embedding'``, ``'mean'``,
    ``'class_map'``, ``'logits'``, ``'index'``, ``'target'``) and is called as
    ``loss(student, teacher, target)`` with :class:`~hetkd.models.nets.NetOutput`, and with ``index=`` where
    it needs the images' places in the training set. Where one needs stages, it sees pairs of them: the nets'
    stages are paired from the deepest (a net with more keeps its shallowest out), and the matcher has brought
    the student's to the teacher's shapes, whatever the two families are.

    Args:
        losses: configs of registered feature losses.
        logit_losses: configs of registered logit losses, as in :class:`LogitDistiller`.
        stages: which pairs to match, as indices from the shallowest (or negative, from the deepest).
            Default: all.
        matcher: config of the stages' connector; default ``dict(type='StageMatcher')``.
        embedding_matcher: config of a connector through which both embeddings go, as RSD's ``AAD`` and CRD's
            ``ContrastHead``; or both means of the last maps, where a loss reads those, as VkD's
            ``OrthogonalProjector``. Default: none, the losses see the nets' own.
        **kwargs: see :class:`BaseDistiller`.

    Raises:
        UserError: a loss that reads something else, or does not say what, or cannot be called so; a connector
            that no loss reads; several teachers, where a connector or a memory is of one.
    """

    teacher_needs = ()  # those of its losses

    def __init__(
        self,
        losses: Sequence[dict],
        logit_losses: Sequence[dict] = (),
        stages: Optional[Sequence[int]] = None,
        matcher: Optional[dict] = None,
        embedding_matcher: Optional[dict] = None,
        **kwargs,
    ):
        check_losses(losses, logit_losses)
        super().__init__(**kwargs)
        self.losses = build_feature_losses(losses, NEEDS)
        self.logit_losses = build_logit_losses(logit_losses, 'logit_losses')
        needs = {need for loss in self.losses.values() for need in loss.needs}
        self.needs_index = 'index' in needs
        self.needs_target = 'target' in needs
        self.student_needs = tuple(sorted(needs - {'index', 'logits', 'target'}))
        readers = [x for x in self.losses.values() if 'logits' in x.needs]
        readers += self.logit_losses.values()
        self.teacher_needs = self.student_needs + ('logits',) * bool(readers)
        self.check_heads(readers)
        for net in (self.student, *self.teachers):
            if 'class_map' in needs:
                net.check_class_map()
            if 'mean' in needs:
                _ = net.mean_channels
        self.matcher = self.embedding_matcher = None
        if 'stages' in needs:
            self._indices = stages
            mine, theirs = self._pair(self.student.stage_specs, self.teacher.stage_specs)
            self.matcher = build_part(
                matcher,
                dict(type='StageMatcher'),
                student_channels=[x.channels for x in mine],
                teacher_channels=[x.channels for x in theirs],
            )
        elif stages is not None or matcher is not None:
            raise UserError(
                'matcher' if stages is None else 'stages',
                'a loss that reads stages',
                list(self.losses),
                'drop it, or use HintLoss or ATLoss',
            )
        if 'embedding' in needs:  # probes the head now: in a step, autocast may keep what the probe has cast
            _ = self.student.embedding_channels
        if self.needs_index:
            _ = self.teacher  # its memories are of one
        if embedding_matcher is not None:
            self._matched = 'mean' if 'mean' in needs else 'embedding'
            if self._matched not in needs:
                raise UserError(
                    'embedding_matcher',
                    'a loss that reads embeddings',
                    list(self.losses),
                    'drop it, or use RSDLoss, CRDLoss or VkDLoss',
                )
            self.embedding_matcher = MODELS.build(
                embedding_matcher,
                default_args=dict(
                    student_channels=getattr(self.student, f'{self._matched}_channels'),
                    teacher_channels=getattr(self.teacher, f'{self._matched}_channels'),
                ),
            )

    def _pair(self, mine: Sequence, theirs: Sequence) -> tuple[tuple, tuple]:
        """The chosen stages of both nets, pair by pair."""
        count = min(len(mine), len(theirs))
        mine, theirs = mine[-count:], theirs[-count:]
        indices = range(count) if self._indices is None else self._indices
        if not indices or not all(-count <= i < count for i in indices):
            raise UserError(
                'stages', f'indices of {count} stage pairs ({-count} to {count - 1})', list(indices)
            )
        return tuple(mine[i] for i in indices), tuple(theirs[i] for i in indices)

    def distill(self, student, teacher, target, index=None):
        """Each loss on its part."""
        losses = {
            key: loss(student.logits, teacher.logits, target) for key, loss in self.logit_losses.items()
        }
        if self.matcher is not None:
            mine, theirs = self._pair(student.stages, teacher.stages)
            student = student._replace(stages=self.matcher(mine, theirs))
            teacher = teacher._replace(stages=theirs)
        if self.embedding_matcher is not None:
            both = (getattr(x, self._matched) for x in (student, teacher))
            mine, theirs = ({self._matched: x} for x in self.embedding_matcher(*both))
            student, teacher = student._replace(**mine), teacher._replace(**theirs)
        for key, loss in self.losses.items():
            extra = dict(index=index) if 'index' in loss.needs else {}
            losses[key] = loss(student, teacher, target, **extra)
        return losses
