"""Cosine loss between the logits of student and teacher."""

import torch.nn.functional as F
from torch import nn

from hetkd.registry import MODELS


@MODELS.register_module()
class CosineLoss(nn.Module):
    """One minus the cosine between the student's and the teacher's logits, averaged over the batch.

    Args:
        loss_weight: factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student, teacher, target):
        """The loss of one batch, in float32; ``student`` and ``teacher`` are logits (N, C)."""
        cosine = F.cosine_similarity(student.float(), teacher.float())
        return self.loss_weight * (1 - cosine).mean()
