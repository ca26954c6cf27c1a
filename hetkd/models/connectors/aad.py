"""RSD's architecture-agnostic decoupling."""

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.functional.checks import check_samples
from hetkd.registry import MODELS

from .init import init_connector


@MODELS.register_module()
class AAD(nn.Module):
    """The student's embedding through a small MLP to the teacher's width (RSD, arXiv 2507.21844).

    Linear to ``ratio`` times the width, batch norm, GELU, Linear to the teacher's width; no biases. It keeps
    the loss off the student's own embedding. As in the authors' released code.

    Args:
        student_channels: width of the student's embedding.
        teacher_channels: width of the teacher's.
        ratio: hidden width over the student's, >= 1.

    Raises:
        UserError: a ratio below 1.
    """

    def __init__(self, student_channels: Count, teacher_channels: Count, ratio: Count = 2):
        super().__init__()
        hidden = student_channels * ratio
        self.mlp = nn.Sequential(
            nn.Linear(student_channels, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.GELU(),
            nn.Linear(hidden, teacher_channels, bias=False),
        )
        self.apply(init_connector)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (N, D_s) and (N, D_t) to two of (N, D_t); the teacher's as it came.

        Raises:
            UserError: a batch of one in training, which batch norm cannot take.
        """
        if self.training:
            check_samples('AAD', len(student))
        return self.mlp(student), teacher
