"""Multi-Scale Dynamic Fusion (MSDF) of stage logits, from MLDR-KD."""

from typing import NamedTuple

import torch


class Fusion(NamedTuple):
    """Result of :func:`msdf_fuse`."""

    logits: torch.Tensor
    """(N, C) fused logits."""
    weights: torch.Tensor
    """(S, N, C) weight of each stage; sums to 1 over the stages."""


def msdf_fuse(stage_logits: torch.Tensor, gate: torch.Tensor) -> Fusion:
    r"""Multi-Scale Dynamic Fusion: :math:`p_f = \sum_i W_i * p_i`, W = softmax of the gate over the stages.

    Source: MLDR-KD (arXiv 2502.06189), read in the authors' released code. One weight per sample, stage
    and class.

    Args:
        stage_logits: (S, N, C) logits p_i of the S stages.
        gate: (S, N, C) scores of the gate.
    """
    weights = gate.softmax(dim=0)
    return Fusion((weights * stage_logits).sum(dim=0), weights)
