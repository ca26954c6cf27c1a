"""HCD's losses on sub-logits as registered modules."""

import torch
from torch import nn

from hetkd.functional import orthogonality_loss, sublogit_ce, sublogit_kl
from hetkd.functional.checks import check_temperature
from hetkd.functional.orthogonality import check_threshold
from hetkd.registry import MODELS


def over_stages(values: torch.Tensor, reduction: str) -> torch.Tensor:
    """Sum or mean of one value a stage."""
    return values.sum() if reduction == 'sum' else values.mean()


def check_reduction(reduction: str) -> None:
    """Refuse anything but sum and mean."""
    if reduction not in ('sum', 'mean'):
        raise ValueError(f"reduction: expected 'sum' or 'mean' (over the stages), got {reduction!r}")


@MODELS.register_module()
class SubLogitLoss(nn.Module):
    r"""Sub-logit Decoupled Distillation: CE of the sub-logits, and their KL to the student.

    .. math:: \sum_i \mathrm{mean}_j [CE(s_{ij}, y) + w T^2 KL(s_{ij} \| z_s)]

    Source: HCD (arXiv 2511.10942); details second-hand, from a third-party port.

    Args:
        temperature: T > 0. Default 1.
        kl_weight: w. Default 6.
        label_smoothing: of the cross-entropy. Default 0.1.
        detach: whether s is a fixed target of the KL. Default no.
        reduction: ``'sum'`` (default) or ``'mean'`` over the stages.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        kl_weight: float = 6.0,
        label_smoothing: float = 0.1,
        detach: bool = False,
        reduction: str = 'sum',
        loss_weight: float = 1.0,
    ):
        super().__init__()
        check_temperature(temperature)
        check_reduction(reduction)
        self.temperature = temperature
        self.kl_weight = kl_weight
        self.label_smoothing = label_smoothing
        self.detach = detach
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, student: torch.Tensor, sub_logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student logits (N, C), sub-logits (S, N, n, C) and the target to a scalar."""
        fixed = sub_logits.detach() if self.detach else sub_logits
        kl = self.temperature**2 * sublogit_kl(fixed, student, self.temperature)
        ce = sublogit_ce(sub_logits, target, self.label_smoothing)
        return self.loss_weight * over_stages(ce + self.kl_weight * kl, self.reduction)


@MODELS.register_module()
class OrthogonalityLoss(nn.Module):
    """HCD's orthogonality loss over :func:`hetkd.functional.orthogonality_loss`.

    Args:
        threshold: cosine that costs nothing yet, in [-1, 1]. Default 0.5.
        reduction: ``'sum'`` (default) or ``'mean'`` over the stages.
        loss_weight: beta, factor of the result. Default 1.
    """

    def __init__(self, threshold: float = 0.5, reduction: str = 'sum', loss_weight: float = 1.0):
        super().__init__()
        check_threshold(threshold)
        check_reduction(reduction)
        self.threshold = threshold
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, sub_logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Sub-logits (S, N, n, C) and the target to a scalar."""
        values = orthogonality_loss(sub_logits, target, self.threshold)
        return self.loss_weight * over_stages(values, self.reduction)
