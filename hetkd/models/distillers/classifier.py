"""A net trained on labels alone: scratch baselines, teachers and exported students."""

from copy import deepcopy
from typing import Optional

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample

from hetkd.errors import UserError
from hetkd.models.nets.running import compile_net
from hetkd.registry import MODELS

from .configs import with_classes
from .part import build_part

LABEL_LOSS = dict(type='LabelLoss', label_smoothing=0.1)


@MODELS.register_module()
class NetClassifier(BaseModel):
    """A student with its label loss, in mmengine's three modes; distillers add a teacher.

    Args:
        student: config of the net, e.g. ``dict(type='MMPretrainNet', ...)``. Its ``num_classes`` may be left
            out: it is then the data preprocessor's. Two further keys:
            ``channels_last`` (default False) is a memory layout that is faster for convolutions, ``compile``
            (default False) runs the net through ``torch.compile``.
        label_loss: config of the loss on the student's logits and the labels (class indices, or
            probabilities under mixup and the like). Default: cross-entropy with label smoothing 0.1.
        data_preprocessor: config; ``type`` defaults to ``SeededPreprocessor``.
        train_cfg: ``dict(augments=[...])`` for batch augmentations, as in mmpretrain's classifiers; or
            ``batch_augments`` of the data preprocessor, as in ``configs/_base_/datasets``.

    Raises:
        UserError: batch augmentations in both places, no number of classes, or a student without a class
            head.
    """

    def __init__(
        self,
        student: dict,
        label_loss: Optional[dict] = None,
        data_preprocessor: Optional[dict] = None,
        train_cfg: Optional[dict] = None,
    ):
        # Copies: mmpretrain completes the list of probabilities of its augmentations in place.
        preprocessor, train_cfg = deepcopy(dict(data_preprocessor or {})), deepcopy(train_cfg)
        preprocessor.setdefault('type', 'SeededPreprocessor')
        if train_cfg and preprocessor.get('batch_augments'):
            raise UserError(
                'train_cfg',
                'batch augmentations in one place',
                'them in model.train_cfg and in data_preprocessor.batch_augments',
                'drop one (data_preprocessor=dict(batch_augments=None))',
            )
        if train_cfg:
            preprocessor['batch_augments'] = train_cfg
        super().__init__(MODELS.build(preprocessor))
        student = with_classes(student, self.data_preprocessor)
        self._compiles = student.pop('compile', False)
        channels_last = student.pop('channels_last', False)
        self.student = MODELS.build(student)
        if not self.student.num_classes:
            raise UserError(
                'student', 'a class head', 'num_classes=0', "leave num_classes out: it is then the data's"
            )
        if channels_last:
            self.student.to(memory_format=torch.channels_last)
        self.label_loss = build_part(label_loss, LABEL_LOSS)

    def forward(self, inputs, data_samples=None, mode: str = 'tensor'):
        """Logits (``tensor``), a dict of losses (``loss``) or data samples (``predict``)."""
        if mode == 'tensor':
            return self.student(inputs).logits
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        raise UserError('mode', "'tensor', 'loss' or 'predict'", repr(mode))

    def loss(self, inputs: torch.Tensor, data_samples: list[DataSample]) -> dict[str, torch.Tensor]:
        """The losses of one batch; every key starts with ``loss``."""
        return {'loss_ce': self.label_loss_of(self.run_student(inputs).logits, target_of(data_samples))}

    def run_student(self, inputs: torch.Tensor, **asked: bool):
        """The student in training, compiled before its first step if so configured."""
        if self._compiles:
            compile_net(self.student, **asked)
            self._compiles = False
        return self.student(inputs, **asked)

    def label_loss_of(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The label loss in float32."""
        return self.label_loss(logits.float(), target)

    def predict(self, inputs, data_samples=None) -> list[DataSample]:
        """Scores and labels of the student."""
        scores = self.student(inputs).logits.float().softmax(1)
        samples = data_samples or [DataSample() for _ in scores]
        for sample, score, label in zip(samples, scores, scores.argmax(1, keepdim=True)):
            sample.set_pred_score(score).set_pred_label(label)
        return samples


def target_of(data_samples: list[DataSample]) -> torch.Tensor:
    """Class indices (N,), or probabilities (N, C) where the samples hold mixed labels."""
    if 'gt_score' in data_samples[0]:
        return torch.stack([sample.gt_score for sample in data_samples]).float()  # one-hot ones are integers
    return torch.cat([sample.gt_label for sample in data_samples])


def index_of(data_samples: list[DataSample]) -> torch.Tensor:
    """The images' places in the training set (N,), on the CPU.

    Raises:
        UserError: the samples do not carry them.
    """
    if 'sample_idx' not in data_samples[0]:
        raise UserError(
            'data',
            'sample_idx in the data samples, since a loss needs the place of each image in the training set',
            'none',
            "keep 'sample_idx' in the meta_keys of PackInputs (it is by default)",
        )
    return torch.tensor([sample.sample_idx for sample in data_samples])
