"""Projection of both embeddings to unit vectors of one width."""

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.functional.unit import unit
from hetkd.registry import MODELS

from .init import init_connector


@MODELS.register_module()
class ContrastHead(nn.Module):
    """A linear layer for each net, then length 1 (CRD, arXiv 1910.10699). Both layers are trained.

    Args:
        student_channels: width of the student's embedding.
        teacher_channels: width of the teacher's.
        out_channels: width of both results.
    """

    def __init__(self, student_channels: Count, teacher_channels: Count, out_channels: Count = 128):
        super().__init__()
        self.student = nn.Linear(student_channels, out_channels)
        self.teacher = nn.Linear(teacher_channels, out_channels)
        self.apply(init_connector)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (N, D_s) and (N, D_t) to two of (N, out_channels)."""
        pairs = ((self.student, student), (self.teacher, teacher))
        student, teacher = (unit(layer(x).float()) for layer, x in pairs)
        return student, teacher
