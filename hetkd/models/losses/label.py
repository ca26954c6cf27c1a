"""The loss on labels."""

import torch
import torch.nn.functional as F
from torch import nn

from hetkd.errors import UserError
from hetkd.registry import MODELS


@MODELS.register_module()
class LabelLoss(nn.Module):
    """Cross-entropy with label smoothing, of class indices or of probabilities (mixup and the like).

    mmpretrain's ``LabelSmoothLoss`` in its mode ``'original'`` gives the same value; it waits for the device
    at each step, to check the labels.

    Args:
        label_smoothing: in [0, 1]. Default 0.1 as in MLDR-KD, HCD and OFA-KD.
    """

    def __init__(self, label_smoothing: float = 0.1):
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise UserError('label_smoothing', 'a number in [0, 1]', repr(label_smoothing))
        self.label_smoothing = label_smoothing

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of logits (N, C) for indices (N,) or probabilities (N, C)."""
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
