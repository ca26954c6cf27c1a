"""Input checks that the equations share."""

import math
from numbers import Real

import torch

from hetkd.errors import UserError


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is not positive, or whose square leaves float32's range."""
    if not 0 < temperature <= 1e6:
        raise UserError(
            'temperature', 'a number > 0, at most 1e6', repr(temperature), 'the papers use 1 to 4'
        )


def check_weights(**weights: float) -> None:
    """Refuse weights of losses that are negative or not finite: a loss would be maximised, or be NaN."""
    for name, value in weights.items():
        if not isinstance(value, Real) or not (value >= 0 and math.isfinite(value)):
            raise UserError(name, 'a finite number >= 0', repr(value), f'a loss is left out by {name}=0')


def check_logits(student: torch.Tensor, teacher: torch.Tensor) -> None:
    """Refuse shapes other than student (..., N, C) and teacher (N, C)."""
    if teacher.dim() != 2 or student.dim() < 2 or student.shape[-2:] != teacher.shape:
        raise UserError(
            'logits',
            'student (..., N, C) and teacher (N, C) of one batch and one set of classes',
            f'student {tuple(student.shape)} and teacher {tuple(teacher.shape)}',
            'give both nets the same images and the same num_classes',
        )
    if teacher.numel() == 0:
        raise UserError(
            'logits',
            'at least one sample and one class',
            tuple(teacher.shape),
            'set drop_last=True in the train_dataloader',
        )


def check_embeddings(name: str, student: torch.Tensor, teacher: torch.Tensor) -> None:
    """Refuse shapes other than student (N, D) and teacher (N, D') with N > 1."""
    if student.dim() != 2 or teacher.dim() != 2 or student.shape[0] != teacher.shape[0]:
        raise UserError(
            name,
            "embeddings (N, D) and (N, D') of one batch",
            f'student {tuple(student.shape)} and teacher {tuple(teacher.shape)}',
        )
    check_samples(name, len(student))


def check_samples(name: str, samples: int) -> None:
    """Refuse a batch of one sample where samples are compared with each other."""
    if samples < 2:
        raise UserError(
            name,
            'at least 2 samples in a batch',
            samples,
            'set drop_last=True in the train_dataloader or a larger batch_size',
        )


def check_classes(name: str, classes: int) -> None:
    """Refuse a single class where the true one is compared with others."""
    if classes < 2:
        raise UserError(name, 'at least 2 classes', classes, 'set num_classes of both nets')
