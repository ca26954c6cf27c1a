"""RLD as a registered loss."""

import torch

from hetkd.arguments import Natural, Temperature, Weight
from hetkd.clock import run_epoch
from hetkd.functional import rld_loss
from hetkd.registry import MODELS

from .base import FunctionLoss


@MODELS.register_module()
class RLDLoss(FunctionLoss):
    """Logit loss over :func:`hetkd.functional.rld_loss` (arXiv 2408.07703), with the authors' warm-up.

    Args:
        alpha: weight of the sample's confidence.
        beta: weight of the classes below the true one.
        temperature: T > 0 of those classes.
        confidence_temperature: T > 0 of the confidence.
        warmup: epochs over which the loss rises linearly: in the first epoch it counts 1 / ``warmup``. 0 for
            none. Outside a run, where there is no epoch, it counts in full.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        alpha: Weight = 1.0,
        beta: Weight = 8.0,
        temperature: Temperature = 4.0,
        confidence_temperature: Temperature = 1.0,
        warmup: Natural = 20,
        loss_weight: Weight = 1.0,
    ):
        temperatures = dict(temperature=temperature, confidence_temperature=confidence_temperature)
        super().__init__(rld_loss, loss_weight, alpha=alpha, beta=beta, **temperatures)
        self.warmup = warmup

    def forward(self, student: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Student and teacher logits (N, C) and the target to a scalar."""
        return self._share() * self.weighted(student, teacher, target)

    def _share(self) -> float:
        """How much of the loss counts in this epoch."""
        epoch = run_epoch()
        if epoch is None or not self.warmup:
            return 1.0
        return min((epoch + 1) / self.warmup, 1.0)
