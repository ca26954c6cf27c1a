"""How far confidence is from accuracy."""

import torch


def calibration_error(scores: torch.Tensor, target: torch.Tensor, num_bins: int = 15) -> torch.Tensor:
    r"""Expected calibration error (Guo et al., ICML 2017, arXiv 1706.04599, equation 5).

    .. math:: \sum_b \frac{|B_b|}{N} \left| \mathrm{acc}(B_b) - \mathrm{conf}(B_b) \right|

    B_b holds the samples whose largest probability lies in the b-th of equally wide bins ((b-1)/M, b/M].

    Args:
        scores: probabilities (N, C).
        target: class indices (N,).
        num_bins: M >= 1. Default 15 as in the paper.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: no sample, or no bin.
    """
    if len(scores) == 0 or num_bins < 1:
        raise ValueError(
            f'calibration: expected samples and at least one bin, got {len(scores)} and {num_bins}'
        )
    confidence, label = scores.double().max(1)
    right = (label == target).double()
    index = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    gap = torch.zeros(num_bins, dtype=torch.float64, device=scores.device)
    gap.index_add_(0, index, right - confidence)
    return gap.abs().sum() / len(scores)
