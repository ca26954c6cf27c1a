"""Student stages to the shape of the teacher's."""

from typing import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from hetkd.registry import MODELS

from .init import init_connector


@MODELS.register_module()
class StageMatcher(nn.Module):
    """One 1x1 convolution a stage to the teacher's width, then the teacher's grid (FitNet's regressor).

    A finer map is averaged down and a coarser one is interpolated, so any family can teach any other.
    Stages are paired from the deepest; a net with more of them keeps its shallowest out.

    Args:
        student_channels: of each student stage, shallow to deep.
        teacher_channels: of each teacher stage.
        teacher_sizes: (h, w) of each teacher stage.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        teacher_sizes: Sequence[tuple[int, int]],
    ):
        super().__init__()
        count = min(len(student_channels), len(teacher_channels))
        self.count = count
        self.sizes = [tuple(size) for size in teacher_sizes[-count:]]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(student_channels[-count:], teacher_channels[-count:])
        )
        self.apply(init_connector)

    def forward(self, stages: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The student's deepest ``count`` stages, each in the shape of its teacher stage."""
        matched = (conv(x) for conv, x in zip(self.convs, stages[-self.count :]))
        return tuple(_to_grid(x, size) for x, size in zip(matched, self.sizes))


def _to_grid(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if x.shape[2] >= size[0] and x.shape[3] >= size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size, mode='bilinear', align_corners=False)
