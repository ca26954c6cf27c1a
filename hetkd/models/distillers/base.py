"""The base of all distillation algorithms."""

from abc import abstractmethod
from typing import Optional

import torch

from hetkd.models.nets.contract import NetOutput
from hetkd.registry import MODELS

from .classifier import NetClassifier, target_of
from .teacher import FrozenTeacher


class BaseDistiller(NetClassifier):
    """A frozen teacher, a student and the label loss; a subclass adds the distillation losses.

    A subclass names what it reads of each net in ``teacher_needs`` and ``student_needs`` (of ``'stages'``,
    ``'embedding'``; logits always come) and implements :meth:`distill`. Its train-only modules are plain
    children: they are trained, saved and resumed, and are no part of an exported student.

    Args:
        teacher: config of the teacher net, with its weights; see :class:`FrozenTeacher`.
        student: config of the student net.
        label_loss, data_preprocessor, train_cfg: see :class:`NetClassifier`.
        ce_weight: weight of the label loss.

    Raises:
        ValueError: teacher and student differ in their number of classes, or the teacher has no weights.
    """

    teacher_needs: tuple[str, ...] = ()
    student_needs: tuple[str, ...] = ()

    def __init__(
        self,
        teacher: dict,
        student: dict,
        label_loss: Optional[dict] = None,
        data_preprocessor: Optional[dict] = None,
        train_cfg: Optional[dict] = None,
        ce_weight: float = 1.0,
    ):
        super().__init__(student, label_loss, data_preprocessor, train_cfg)
        preprocessor = self.data_preprocessor
        self.teacher = FrozenTeacher(
            teacher, *(_flat(getattr(preprocessor, name, None)) for name in ('mean', 'std'))
        )
        self.ce_weight = ce_weight
        if self.teacher.num_classes != self.student.num_classes:
            raise ValueError(
                f'teacher: expected {self.student.num_classes} classes as the student has, got '
                f'{self.teacher.num_classes}; use a teacher trained on this data set, and set num_classes of '
                f'both nets to its number of classes'
            )

    def loss(self, inputs, data_samples) -> dict[str, torch.Tensor]:
        """``loss_ce`` and the distillation losses of one batch."""
        target = target_of(data_samples)
        teacher = self.teacher(inputs, **dict.fromkeys(self.teacher_needs, True))
        student = self.student(inputs, **dict.fromkeys(self.student_needs, True))
        losses = {'loss_ce': self.ce_weight * self.label_loss_of(student.logits, target)}
        return losses | self.distill(student, teacher, target)

    @abstractmethod
    def distill(
        self, student: NetOutput, teacher: NetOutput, target: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The distillation losses; every key starts with ``loss_``, which mmengine sums."""

    def build_projector(self, config: dict) -> torch.nn.Module:
        """A projector for the student; P is the larger of its last stage and the teacher's embedding."""
        stages = self.student.feature_specs.stages
        return MODELS.build(
            config,
            default_args=dict(
                channels=[x.channels for x in stages],
                strides=[x.stride for x in stages],
                out_channels=max(stages[-1].channels, self.teacher.feature_specs.embedding),
            ),
        )

    def _apply(self, fn, recurse: bool = True):
        super()._apply(fn, recurse)
        self.teacher.apply_(fn)
        return self


def build_losses(configs: list[dict]) -> torch.nn.ModuleDict:
    """Losses by their log key: ``KDLoss`` logs as ``loss_kd``, a second one as ``loss_kd_2``."""
    losses = torch.nn.ModuleDict()
    for config in configs:
        loss = MODELS.build(config)
        name = key = 'loss_' + type(loss).__name__.removesuffix('Loss').lower()
        count = 1
        while key in losses:
            count += 1
            key = f'{name}_{count}'
        losses[key] = loss
    return losses


def _flat(value: Optional[torch.Tensor]):
    return None if value is None else value.flatten().tolist()
