"""Input checks and type conversions that the equations share."""

import math
from functools import wraps
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


def full_precision(logits: torch.Tensor) -> torch.Tensor:
    """Convert float16 and bfloat16 to float32; keep float32 and float64."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def target_class(target: torch.Tensor) -> torch.Tensor:
    """Class indices (N,) from indices (N,) or probabilities (N, C); of mixed labels the most probable."""
    return target.argmax(1) if target.dim() == 2 else target


def one_hot(target: torch.Tensor, num_classes: int, dtype: torch.dtype) -> torch.Tensor:
    """Class indices (N,) as (N, C) of zeros and ones. ``F.one_hot`` waits for the device on some devices."""
    zeros = torch.zeros(len(target), num_classes, dtype=dtype, device=target.device)
    return zeros.scatter_(1, target[:, None], 1)


def check_embeddings(name: str, student: torch.Tensor, teacher: torch.Tensor) -> None:
    """Refuse shapes other than student (N, D) and teacher (N, D') with N > 1."""
    if student.dim() != 2 or teacher.dim() != 2 or student.shape[0] != teacher.shape[0]:
        raise UserError(
            name,
            "embeddings (N, D) and (N, D') of one batch",
            f'student {tuple(student.shape)} and teacher {tuple(teacher.shape)}',
        )
    if student.shape[0] < 2:
        raise UserError(
            name,
            'at least 2 samples in a batch (relations are between samples)',
            student.shape[0],
            'set drop_last=True in the train_dataloader or a larger batch_size',
        )


def without_autocast(function):
    """Decorator that turns autocast off, so that matrix products are not computed in half precision."""

    @wraps(function)
    def run(*args, **kwargs):
        first = next(x for x in (*args, *kwargs.values()) if torch.is_tensor(x))
        with torch.autocast(first.device.type, enabled=False):
            return function(*args, **kwargs)

    return run
