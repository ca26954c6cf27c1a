"""VkD's orthogonal projection."""

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.functional import householder_columns
from hetkd.functional.precision import without_autocast
from hetkd.registry import MODELS


@MODELS.register_module()
class OrthogonalProjector(nn.Module):
    """A linear layer without bias from the student's width to the teacher's that stays orthogonal.

    As in VkD's released code (arXiv 2403.06213): the weight is a fixed random orthogonal matrix, times a
    product of Householder reflections whose vectors are trained, as in
    ``torch.nn.utils.parametrizations.orthogonal(..., orthogonal_map='householder')``. Its columns are
    orthonormal, or its rows where the teacher is narrower: distances between images are kept, or shrink.
    Weight decay pulls the weight to its initial value; it would make that of torch's layer 0.

    Args:
        student_channels: width of the student's features.
        teacher_channels: width of the teacher's.
    """

    def __init__(self, student_channels: Count, teacher_channels: Count):
        super().__init__()
        rows, columns = sorted((student_channels, teacher_channels), reverse=True)
        self.widens = teacher_channels >= student_channels
        self.vectors = nn.Parameter(torch.zeros(rows, columns))
        self.register_buffer('base', nn.init.orthogonal_(torch.empty(rows, rows)))

    @property
    def weight(self) -> torch.Tensor:
        """(teacher's width, student's width)."""
        # Vectors of 0 give -1 on the diagonal: the weight begins as columns of the base.
        product = -self.base @ householder_columns(self.vectors)
        return product if self.widens else product.mT

    @without_autocast
    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, D_s) and (N, D_t) to two of (N, D_t); the teacher's as they came."""
        return student.to(self.vectors.dtype) @ self.weight.mT, teacher
