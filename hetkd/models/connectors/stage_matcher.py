"""The regressor from student stages to the teacher's shapes."""

from typing import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from hetkd.errors import UserError
from hetkd.functional import pool_matrix
from hetkd.registry import MODELS

from .init import init_connector


@MODELS.register_module()
class StageMatcher(nn.Module):
    """One 1x1 convolution a stage to the teacher's width, then the teacher's grid (FitNet's regressor).

    A finer map is averaged down and a coarser one is interpolated, so any family can teach any other.

    Args:
        student_channels: of each student stage.
        teacher_channels: of the teacher stage that it is matched with.

    Raises:
        UserError: the lists differ in length.
    """

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]):
        super().__init__()
        if len(student_channels) != len(teacher_channels):
            raise UserError(
                'StageMatcher',
                'as many student as teacher stages',
                f'{len(student_channels)} and {len(teacher_channels)}',
                'pair them first',
            )
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(student_channels, teacher_channels))
        self.apply(init_connector)

    def forward(
        self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """The student's stages (N, C_i, H_i, W_i), each in the shape of its teacher stage."""
        pairs = zip(self.convs, student, teacher, strict=True)
        return tuple(_to_grid(conv(x), tuple(y.shape[2:])) for conv, x, y in pairs)


def _to_grid(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(x.shape[2:]) == size:
        return x
    if x.shape[2] >= size[0] and x.shape[3] >= size[1]:
        rows, columns = (pool_matrix(x.shape[i + 2], size[i], x) for i in (0, 1))
        return rows @ x @ columns.mT
    return F.interpolate(x, size, mode='bilinear', align_corners=False)
