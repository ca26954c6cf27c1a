"""MSDF, MLDR-KD's fusion of a student's stages."""

from typing import NamedTuple, Sequence

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.functional import msdf_fuse
from hetkd.registry import MODELS

from .init import init_connector
from .stage_heads import StageHeads


class MSDFOutput(NamedTuple):
    """The output of :class:`MSDF`."""

    stage_logits: torch.Tensor
    """(S, N, C) logits of each stage."""
    fused: torch.Tensor
    """(N, C) fused logits."""
    weights: torch.Tensor
    """(S, N, C) weight of each stage; sums to 1 over the stages."""


@MODELS.register_module()
class MSDF(StageHeads):
    """Multi-Scale Dynamic Fusion (MLDR-KD, arXiv 2502.06189; read in the authors' released code).

    From the descriptor d_i (N, P) of each projected stage: stage logits p_i = Linear(P -> C)(d_i), own
    weights per stage. A gate that the stages share, Linear(P -> H) -> GELU -> Linear(H -> C), scores each
    d_i; see :func:`hetkd.functional.msdf_fuse`.

    Args:
        num_stages: S.
        in_channels: P.
        num_classes: C.
        hidden_ratio: H / C. Default 4 as in the authors' code.
    """

    def __init__(self, num_stages: Count, in_channels: Count, num_classes: Count, hidden_ratio: Count = 4):
        super().__init__(num_stages, in_channels, num_classes)
        hidden = hidden_ratio * num_classes
        self.gate = nn.Sequential(nn.Linear(in_channels, hidden), nn.GELU(), nn.Linear(hidden, num_classes))
        self.gate.apply(init_connector)

    def forward(self, descriptors: Sequence[torch.Tensor]) -> MSDFOutput:
        """Projected stages d_i (N, P) each to stage logits and fused logits."""
        logits = super().forward(descriptors)
        fusion = msdf_fuse(logits, self.gate(torch.stack(descriptors)))
        return MSDFOutput(logits, *fusion)
