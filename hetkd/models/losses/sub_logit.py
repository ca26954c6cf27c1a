"""HCD's losses on sub-logits as registered modules."""

import torch

from hetkd.arguments import Share, Temperature, Weight
from hetkd.errors import UserError
from hetkd.functional import orthogonality_loss, sublogit_ce, sublogit_kl
from hetkd.functional.orthogonality import check_threshold
from hetkd.registry import MODELS

from .base import FunctionLoss


class OverStages(FunctionLoss):
    """A function that gives one value a stage; their sum or mean.

    Args:
        reduction: ``'sum'`` or ``'mean'``.
        function, loss_weight, **options: see :class:`~hetkd.models.losses.base.FunctionLoss`.

    Raises:
        UserError: another reduction.
    """

    def __init__(self, function, reduction: str, loss_weight: Weight, **options):
        if reduction not in ('sum', 'mean'):
            raise UserError('reduction', "'sum' or 'mean' (over the stages)", repr(reduction))
        super().__init__(function, loss_weight, **options)
        self.reduction = reduction

    def weighted(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The values of the stages reduced to one, times the weight."""
        values = self.function(*tensors, **self.options)
        return self.loss_weight * (values.sum() if self.reduction == 'sum' else values.mean())


@MODELS.register_module()
class SubLogitLoss(OverStages):
    r"""Sub-logit Decoupled Distillation: CE of the sub-logits, and their KL to the student.

    .. math:: \sum_i \mathrm{mean}_j [\mathrm{CE}(s_{ij}, y) + w T^2 \mathrm{KL}(s_{ij} \| z_s)]

    Source: HCD (arXiv 2511.10942); details second-hand, from a third-party port.

    Args:
        temperature: T > 0. Default 1.
        kl_weight: w. Default 6.
        label_smoothing: of the cross-entropy, in [0, 1]. Default 0.1.
        detach: whether s is a fixed target of the KL. Default no.
        reduction: ``'sum'`` (default) or ``'mean'`` over the stages.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        temperature: Temperature = 1.0,
        kl_weight: Weight = 6.0,
        label_smoothing: Share = 0.1,
        detach: bool = False,
        reduction: str = 'sum',
        loss_weight: Weight = 1.0,
    ):
        options = dict(kl_weight=kl_weight, label_smoothing=label_smoothing, detach=detach)
        super().__init__(_ce_and_kl, reduction, loss_weight, temperature=temperature, **options)

    def forward(self, student: torch.Tensor, sub_logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student logits (N, C), sub-logits (S, N, n, C) and the target to a scalar."""
        return self.weighted(student, sub_logits, target)


def _ce_and_kl(student, sub_logits, target, temperature, kl_weight, label_smoothing, detach) -> torch.Tensor:
    """Of each stage."""
    fixed = sub_logits.detach() if detach else sub_logits
    kl = temperature**2 * sublogit_kl(fixed, student, temperature)
    return sublogit_ce(sub_logits, target, label_smoothing) + kl_weight * kl


@MODELS.register_module()
class OrthogonalityLoss(OverStages):
    """HCD's orthogonality loss over :func:`hetkd.functional.orthogonality_loss`.

    Args:
        threshold: cosine that costs nothing yet, in [-1, 1]. Default 0.5.
        reduction: ``'sum'`` (default) or ``'mean'`` over the stages.
        loss_weight: beta, factor of the result. Default 1.
    """

    def __init__(self, threshold: float = 0.5, reduction: str = 'sum', loss_weight: Weight = 1.0):
        check_threshold(threshold)
        super().__init__(orthogonality_loss, reduction, loss_weight, threshold=threshold)

    def forward(self, sub_logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Sub-logits (S, N, n, C) and the target to a scalar."""
        return self.weighted(sub_logits, target)
