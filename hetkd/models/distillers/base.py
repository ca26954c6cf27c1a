"""The base of all distillation algorithms."""

from abc import abstractmethod
from typing import Optional, Sequence

import torch

from hetkd.arguments import Weight
from hetkd.errors import UserError
from hetkd.functional import cosines_with_labels, term_gradients
from hetkd.functional.checks import check_weights
from hetkd.models.nets.contract import NetOutput, asked

from .classifier import NetClassifier, index_of
from .configs import build_teacher, with_classes
from .labels import answered
from .part import build_part
from .teacher import Teacher

WITHOUT_LOGITS = 'at, cc, crd, fitnet, rkd or rsd'
"""The methods that read no logits of a teacher, for a message."""


class BaseDistiller(NetClassifier):
    """Frozen teachers, a student and the label loss; a subclass adds the distillation losses.

    A subclass names what it reads of the teacher in ``teacher_needs`` (of ``'logits'``, ``'stages'``,
    ``'embedding'``) and of the student, beside its logits, in ``student_needs``. It says by ``needs_index``
    whether it reads the images' places in the training set, by ``needs_target`` whether it reads labels where
    it reads no logits of the teacher, and implements :meth:`distill`, and
    :meth:`connect` where the student goes through connectors. Its train-only modules are plain children:
    they are trained, saved and resumed, and are no part of an exported student.

    Args:
        teacher: config of the teacher net, with its weights; see :class:`FrozenTeacher`. Or of a registered
            :class:`Teacher`, as ``CachedTeacher``, which reads a cache. Or a list of them, each with a
            ``weight``: the distillation losses are the weighted sum over the teachers.
        student: config of the student net.
        label_loss, data_preprocessor, train_cfg: see :class:`NetClassifier`.
        ce_weight: weight of the label loss.

    Raises:
        UserError: teacher and student differ in their number of classes or of the images' channels, the
            teacher has no weights, or no class head where the method reads logits, or as
            :class:`NetClassifier`.
    """

    teacher_needs: tuple[str, ...] = ('logits',)
    student_needs: tuple[str, ...] = ()
    needs_index: bool = False
    needs_target: bool = False
    watches_gradients: bool = False  # set for a step by GradientCosineHook

    def __init__(
        self,
        teacher: dict,
        student: dict,
        label_loss: Optional[dict] = None,
        data_preprocessor: Optional[dict] = None,
        train_cfg: Optional[dict] = None,
        ce_weight: Weight = 1.0,
    ):
        super().__init__(student, label_loss, data_preprocessor, train_cfg)
        check_weights(ce_weight=ce_weight)
        self.ce_weight = ce_weight
        data = [_flat(getattr(self.data_preprocessor, name, None)) for name in ('mean', 'std')]
        configs = teacher if isinstance(teacher, (list, tuple)) else [teacher]
        if not configs or None in configs:
            raise UserError(
                'teacher', 'a teacher', repr(teacher), 'to train on labels alone take --method scratch'
            )
        configs = [with_classes(config, self.data_preprocessor) for config in configs]
        # Restore the RNG, so that the student's initial weights do not depend on the teacher.
        with torch.random.fork_rng(devices=[]):
            self.teachers = [build_teacher(config, *data) for config in configs]
        channels = self.student.input_spec.channels
        for one in self.teachers:
            if one.channels not in (None, channels):
                raise UserError(
                    'teacher',
                    f'{channels} channels as the student has, since both get the same images',
                    one.channels,
                    'set in_chans (TimmNet: model_kwargs) or in_channels (MMPretrainNet: backbone) of both '
                    'nets to those of the data',
                )
            if one.num_classes not in (0, self.student.num_classes):
                raise UserError(
                    'teacher',
                    f'{self.student.num_classes} classes as the student has',
                    one.num_classes,
                    'use a teacher trained on this data set, and set num_classes of both nets to its number '
                    'of classes; or teacher.num_classes=0 (no class head), for a method that reads no logits '
                    f'(--method {WITHOUT_LOGITS})',
                )
        self.check_heads()

    def check_heads(self, losses: Sequence[torch.nn.Module] = ()) -> None:
        """Refuse a teacher without a class head, if the method reads logits.

        Args:
            losses: those that read them, to be named.

        Raises:
            UserError: names the method, and those that read none.
        """
        if 'logits' in self.teacher_needs and not all(x.num_classes for x in self.teachers):
            names = ', '.join(type(loss).__name__ for loss in losses)
            raise UserError(
                type(self).__name__ + (f' ({names})' if names else ''),
                'a teacher with a class head, since this method reads its logits',
                'one without (num_classes=0)',
                f'use a method that reads none (--method {WITHOUT_LOGITS}), or a teacher trained on this '
                'data set with its number of classes',
            )

    @property
    def teacher(self) -> Teacher:
        """The only teacher.

        Raises:
            UserError: there are several, and the method's connectors fit one.
        """
        if len(self.teachers) != 1:
            raise UserError(
                type(self).__name__,
                'one teacher, since its connectors are made for one',
                len(self.teachers),
                'use a method on logits, CAT, RKD, CC, MLDR-KD or OFA for several',
            )
        return self.teachers[0]

    def loss(self, inputs, data_samples) -> dict[str, torch.Tensor]:
        """``loss_ce`` and the distillation losses of one batch, summed over the teachers."""
        target, labelled = self.batch_labels(data_samples, inputs.device)
        replays = any(teacher.views for teacher in self.teachers)
        index = index_of(data_samples) if self.needs_index or replays else None
        # Teachers first: their activations are freed before the student's forward.
        needs = asked(self.teacher_needs)
        needs['logits'] |= self.needs_target and labelled is not None
        outputs = [teacher(inputs, index, **needs) for teacher in self.teachers]
        student = self.run_student(inputs, **dict.fromkeys(self.student_needs, True))
        losses = {'loss_ce': self.ce_weight * self.label_loss_of(student.logits, target, labelled)}
        extra = dict(index=index) if self.needs_index else {}
        connected = self.connect(student)
        for teacher, output in zip(self.teachers, outputs):
            known = target if labelled is None else self._answered(target, output.logits)
            for key, value in self.distill(connected, output, known, **extra).items():
                is_loss = key.startswith('loss_')
                if 'loss' in key and not is_loss:  # mmengine would add it, without the teacher's weight
                    raise UserError(
                        f'{type(self).__name__}.distill',
                        'losses as loss_NAME, and no other name with loss in it',
                        repr(key),
                        f'rename it, to loss_{key.replace("loss", "").strip("_")} if it is one',
                    )
                losses[key] = losses.get(key, 0) + teacher.weight * value if is_loss else value
        return losses

    def check_unlabelled(self, labelled: int) -> None:
        """Refuse unlabelled images where the method reads labels, and a teacher has no answer in their place.

        Raises:
            UserError: names the method.
        """
        if self.needs_target and not all(x.num_classes for x in self.teachers):
            names = [type(x).__name__ for x in self.modules() if 'target' in getattr(x, 'needs', ())]
            raise UserError(
                ' '.join([type(self).__name__, *(f'({x})' for x in names)]),
                'labelled images, or a teacher with a class head whose answers stand for labels',
                'unlabelled images and a teacher without one (num_classes=0)',
                'leave the unlabelled images out, or use a method that reads no labels '
                f'(--method {WITHOUT_LOGITS})',
            )

    def _answered(self, target: torch.Tensor, logits: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        """The target of a batch with unlabelled images; None where nobody reads it, nor any logits."""
        if logits is None:
            self.check_unlabelled(0)
            return None
        return answered(target, logits)

    def parse_losses(self, losses):
        """The total loss, and what is logged: each term, and the cosines where they are watched."""
        total, logged = super().parse_losses(losses)
        if self.watches_gradients:
            logged.update(self._gradient_cosines(losses))
        return total, logged

    def _gradient_cosines(self, losses: dict) -> dict[str, torch.Tensor]:
        """Cosine between the gradients of the label loss and of each other term on the student."""
        terms = {key: value for key, value in losses.items() if key.startswith('loss_')}
        gradients = term_gradients(terms, [x for x in self.student.parameters() if x.requires_grad])
        cosines = cosines_with_labels(gradients)
        return {'grad_cos_' + key.removeprefix('loss_'): value for key, value in cosines.items()}

    def connect(self, student: NetOutput):
        """What the losses see of the student, computed once a step whatever the number of teachers."""
        return student

    @abstractmethod
    def distill(self, student, teacher: NetOutput, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses against one teacher; ``student`` is what :meth:`connect` gave.

        ``target`` holds class indices (N,) or probabilities (N, C): the labels, and for an unlabelled image
        this teacher's answer. It is None for a batch with unlabelled images where logits are not read.

        Keys that start with ``loss_`` are summed, weighted by the teacher; others are logged as they are.
        A subclass with ``needs_index`` takes a further ``index`` (N,).
        """

    def build_projector(self, config: Optional[dict], **default) -> torch.nn.Module:
        """A projector for the student; P is the largest of its last stage and the teachers' embeddings."""
        stages = self.student.stage_specs
        return build_part(
            config,
            dict(type='StageProjector', **default),
            channels=[x.channels for x in stages],
            strides=[x.stride for x in stages],
            out_channels=max(stages[-1].channels, *(x.embedding_channels for x in self.teachers)),
        )

    def build_on_stages(
        self, config: Optional[dict], kind: str, projector: torch.nn.Module, **sizes: int
    ) -> torch.nn.Module:
        """A part on the stages that a projector gives, by default of type ``kind``."""
        return build_part(
            config,
            dict(type=kind),
            num_stages=len(projector.projections),
            in_channels=projector.out_channels,
            num_classes=self.student.num_classes,
            **sizes,
        )

    def _apply(self, fn, recurse: bool = True):
        super()._apply(fn, recurse)
        for teacher in self.teachers:
            teacher.apply_(fn)
        return self


def _flat(value: Optional[torch.Tensor]):
    return None if value is None else value.flatten().tolist()
