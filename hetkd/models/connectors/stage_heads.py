"""Logits from each stage's descriptor."""

from typing import Sequence

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.registry import MODELS

from .init import init_connector


@MODELS.register_module()
class StageHeads(nn.Module):
    """One linear head a stage, p_i = Linear(P -> C)(d_i) (OFA-KD, MLDR-KD).

    Args:
        num_stages: S.
        in_channels: P.
        num_classes: C.
    """

    def __init__(self, num_stages: Count, in_channels: Count, num_classes: Count):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(in_channels, num_classes) for _ in range(num_stages))
        self.apply(init_connector)

    def forward(self, descriptors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Projected stages d_i (N, P) each to (S, N, C)."""
        return torch.stack([head(d) for head, d in zip(self.heads, descriptors, strict=True)])
