"""CFM, HCD's mapping of student and teacher features to shared logits."""

from typing import Sequence

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.errors import UserError
from hetkd.registry import MODELS

from .init import init_connector


@MODELS.register_module()
class CFM(nn.Module):
    """Complementary Feature Mapper (HCD, arXiv 2511.10942; details second-hand, from a third-party port).

    The descriptor h_i (N, P) of each projected stage is joined with the teacher's embedding f_t (N, Dt). Own
    weights per stage: q_i = W2 ReLU(W1 [h_i, f_t]) with W1: P + Dt -> Dt and W2: Dt -> n C.

    Args:
        num_stages: S.
        in_channels: P.
        teacher_channels: Dt.
        num_classes: C.
        num_sub_logits: n >= 1. Default 4.
        num_layers: 2 as in the port, or 1 for the single fully connected layer of the paper's abstract.

    Raises:
        UserError: n < 1, or another number of layers.
    """

    def __init__(
        self,
        num_stages: Count,
        in_channels: Count,
        teacher_channels: Count,
        num_classes: Count,
        num_sub_logits: Count = 4,
        num_layers: Count = 2,
    ):
        super().__init__()
        if num_layers not in (1, 2):
            raise UserError('num_layers', '1 or 2', num_layers)
        self.shape = (num_sub_logits, num_classes)
        joined, out = in_channels + teacher_channels, num_sub_logits * num_classes
        self.mappers = nn.ModuleList(
            nn.Linear(joined, out)
            if num_layers == 1
            else nn.Sequential(
                nn.Linear(joined, teacher_channels), nn.ReLU(), nn.Linear(teacher_channels, out)
            )
            for _ in range(num_stages)
        )
        self.apply(init_connector)

    def forward(self, descriptors: Sequence[torch.Tensor], embedding: torch.Tensor) -> torch.Tensor:
        """Projected stages h_i (N, P) each and the teacher's embedding (N, Dt) to q (S, N, n, C)."""
        mapped = [
            mapper(torch.cat([x, embedding], dim=1))
            for mapper, x in zip(self.mappers, descriptors, strict=True)
        ]
        return torch.stack(mapped).unflatten(-1, self.shape)
