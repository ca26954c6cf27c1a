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
from .labels import Labels, batch_labels
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

    Attributes:
        needs_labels: whether an image without a label is a mistake; the runner's ``ClassCheckHook`` sets it
            for data that do not ask for unlabelled images.
        predicts_embedding: whether predictions hold the embedding; the runner sets it for a metric that
            reads it.

    Raises:
        UserError: batch augmentations in both places, no number of classes, or a student without a class
            head.
    """

    needs_labels: bool = False
    predicts_embedding: bool = False

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
        augments = preprocessor.get('batch_augments')
        if isinstance(augments, dict) and augments.get('augments') == []:
            raise UserError(
                'batch augmentations',
                'some of them in augments',
                'an empty list',
                'for none: data_preprocessor.batch_augments=None, or model.train_cfg=None',
            )
        super().__init__(MODELS.build(preprocessor))
        student = with_classes(student, self.data_preprocessor)
        for key in ('mean', 'std'):
            seen, own = getattr(self.data_preprocessor, key, None), student.get(key)
            if own is None:
                continue
            if seen is None or not torch.equal(seen.flatten(), torch.tensor(own, dtype=seen.dtype)):
                raise UserError(
                    f'student.{key}',
                    'none, or that of the data preprocessor, which normalises what a student sees',
                    list(own),
                    f'drop it, or set data_preprocessor.{key}',
                )
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
        labels = self.batch_labels(data_samples, inputs.device)
        return {'loss_ce': self.label_loss_of(self.run_student(inputs).logits, *labels)}

    def batch_labels(self, data_samples: list[DataSample], device: torch.device) -> Labels:
        """The labels of a batch.

        Raises:
            UserError: an image has none, though each must have one.
        """
        labels = batch_labels(data_samples, device)
        if self.needs_labels and labels.labelled is not None:
            count = len(data_samples)
            raise UserError(
                'train_dataloader',
                'a label for each image',
                f'{count - len(labels.labelled)} of a batch of {count} without',
                'keep gt_label in the pipeline, or ask for unlabelled images: with_label=False of '
                'CustomDataset, labelled=N of Digits',
            )
        return labels

    def check_unlabelled(self, labelled: int) -> None:
        """Refuse training data with unlabelled images, where the method cannot use them.

        Args:
            labelled: number of images with a label.

        Raises:
            UserError: no image has a label, and there is no teacher.
        """
        if not labelled:
            raise UserError(
                type(self).__name__,
                'training images with labels, since it learns from labels alone',
                'none with a label',
                'give some images labels, or use a method with a teacher',
            )

    def run_student(self, inputs: torch.Tensor, **asked: bool):
        """The student in training, compiled before its first step if so configured."""
        if self._compiles:
            compile_net(self.student, **asked)
            self._compiles = False
        return self.student(inputs, **asked)

    def label_loss_of(
        self, logits: torch.Tensor, target: torch.Tensor, labelled: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """The label loss in float32, of the images with a label; 0 where there is none."""
        logits = logits.float()
        if labelled is None:
            return self.label_loss(logits, target)
        if len(labelled) == 0:
            return 0 * logits.sum()  # every process has a gradient
        return self.label_loss(logits[labelled], target[labelled])

    def predict(self, inputs, data_samples=None) -> list[DataSample]:
        """Scores and labels of the student, and its embedding where a metric reads it."""
        output = self.student(inputs, embedding=self.predicts_embedding)
        scores = output.logits.float().softmax(1)
        samples = data_samples or [DataSample() for _ in scores]
        for sample, score, label in zip(samples, scores, scores.argmax(1, keepdim=True)):
            sample.set_pred_score(score).set_pred_label(label)
        if self.predicts_embedding:
            for sample, embedding in zip(samples, output.embedding):
                sample.set_field(embedding, 'embedding')
        return samples


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
