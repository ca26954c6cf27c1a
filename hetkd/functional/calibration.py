"""Expected calibration error, and the bins of a reliability diagram."""

from typing import NamedTuple

import torch

from hetkd.errors import UserError


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
        UserError: no sample, or no bin.
    """
    bins = calibration_bins(scores, target, num_bins)
    return (bins.right - bins.confidence).abs().sum() / len(scores)


class CalibrationBins(NamedTuple):
    """Result of :func:`calibration_bins`; each (M,) in float64."""

    count: torch.Tensor
    """Samples in the bin."""
    right: torch.Tensor
    """Number of them that are classified correctly."""
    confidence: torch.Tensor
    """Sum of their largest probabilities."""


def calibration_bins(scores: torch.Tensor, target: torch.Tensor, num_bins: int = 15) -> CalibrationBins:
    """Bins of a reliability diagram; arguments and errors as in :func:`calibration_error`."""
    if len(scores) == 0 or num_bins < 1:
        raise UserError('calibration', 'samples and at least one bin', f'{len(scores)} and {num_bins}')
    confidence, label = scores.double().max(1)
    right = (label == target).double()
    index = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    sums = torch.zeros(3, num_bins, dtype=torch.float64, device=scores.device)
    sums.index_add_(1, index, torch.stack([torch.ones_like(right), right, confidence]))
    return CalibrationBins(*sums)
